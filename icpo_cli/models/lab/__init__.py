"""A real problem small enough for a laptop: a model of a million weights that is right on nearly every second sum."""
