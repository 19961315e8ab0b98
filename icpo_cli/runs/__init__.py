"""A run on disk: its folder, journal, responses and checkpoints, and the writes and locks that keep files complete."""
