"""Sampling groups of responses with vLLM, and the weight sync."""
