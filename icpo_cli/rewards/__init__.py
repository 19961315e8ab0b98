"""Rewards: the answer reward of a source, the format reward, noise and length penalty."""
