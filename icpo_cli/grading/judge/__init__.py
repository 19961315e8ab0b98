"""Verdicts by a judge model behind an OpenAI-compatible server."""
