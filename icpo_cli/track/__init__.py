"""Where a run is written down: a local journal first, MLflow second."""
