"""Experiment tracking: runs are logged to a local journal and to MLflow, and past runs are read from MLflow stores."""
