"""The loop and exact resume."""
