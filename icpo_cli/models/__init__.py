"""Model folders: where a model is, its sizes, and the lab model."""
