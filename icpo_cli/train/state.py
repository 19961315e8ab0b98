"""The state of the training loop after an iteration: all that a resumed run needs besides weights and optimizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LoopState:
    """Stored with each checkpoint.

    Order, seeds and schedule are functions of the run's seed and the iteration, so no random generator has a state.
    """

    iteration: int = 0
    skipped_in_a_row: int = 0
    """Updates skipped for a non-finite loss or gradient since the last one done."""
    running_std: float | None = None
    """Running mean over iterations of the std of final rewards within a group; None before the first."""
    best_iteration: int | None = None
    best_accuracy: float | None = None
    ranks: int = 1

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> "LoopState":
        """The state that a checkpoint stores. Before version 0.2 `running_std` was called `final_std`."""
        current = {"running_std" if name == "final_std" else name: value for name, value in fields.items()}
        return cls(**current)
