"""icpo: train, evaluate and report ICPO runs (a GRPO variant with an intrinsic-confidence bonus)."""

__version__ = "0.1.0"
