"""Rules that compare an answer with a gold answer: icpo's strict rule, and those of RLPR and TheoremQA."""
