"""Models: locating their folders, their sizes, and the lab model."""
