"""Sampling groups of responses with vLLM."""
