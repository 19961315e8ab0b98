"""Questions, and how a model is asked them."""
