"""Verdicts of a judge model behind an OpenAI-compatible server."""
