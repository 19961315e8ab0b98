"""A small lab model for tests, more often right than wrong."""

from pathlib import Path

from icpo_cli.models.lab import Recipe, build

TINY = Recipe(
    hidden_size=64,
    layers=2,
    heads=2,
    batches=400,
    batch_size=32,
    learning_rate=6e-3,
    warmup_batches=10,
    terms=(2, 2),
    digits=(1, 1),
    guess_rate=0.0,
)
"""A recipe for a model that adds single digits."""


def make_lab_model(folder: Path) -> Path:
    build(folder, TINY)
    return folder
