"""Evaluation: benchmarks and held-out questions, answered by a model or graded from existing responses."""
