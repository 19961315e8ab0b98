"""Where the training loop is after an iteration: all that a resumed run needs besides weights and optimizer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoopState:
    """Stored with each checkpoint.

    Order, seeds and schedule are functions of the run's seed and the iteration, so no random generator has a state.
    """

    iteration: int = 0
    skipped_in_a_row: int = 0
    """Updates skipped for a non-finite loss or gradient since the last one done."""
    final_std: float | None = None
    """Running mean over iterations of their groups' std of final rewards; None before the first."""
    best_iteration: int | None = None
    best_accuracy: float | None = None
    ranks: int = 1
