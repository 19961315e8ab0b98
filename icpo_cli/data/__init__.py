"""Questions and golds: data sources, benchmarks, prompt templates."""
