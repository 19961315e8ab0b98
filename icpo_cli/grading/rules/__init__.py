"""Whether an extracted answer is the gold answer: strict rules of our own, and two of others for like-with-like."""
