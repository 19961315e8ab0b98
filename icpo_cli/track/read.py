"""What a store holds of past runs, read and never written: the seam between an MLflow store and all that reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Points = tuple[tuple[int, float], ...]
"""(step, value), by step; of equal steps the newest value alone."""


@dataclass(frozen=True)
class PastRun:
    """One run as the store has it. Metrics that are not finite are left out."""

    id: str
    name: str
    experiment: str
    status: str
    """MLflow's: RUNNING, FINISHED, FAILED, KILLED, SCHEDULED."""
    start_ms: int
    """Milliseconds since 1970."""
    end_ms: int | None
    """None while it runs."""
    parent: str | None
    """Id of the run that it stands under."""
    params: Mapping[str, str]
    """The flattened configuration: {"method.delta": "0.4"}."""
    tags: Mapping[str, str]
    """Facts: model, data fingerprints, code and package versions; MLflow's own (mlflow.*) left out."""
    metrics: Mapping[str, float]
    """The newest value of each."""
    last_step: int = 0
    """The greatest step of any metric: the iterations of a training run so far."""


def facts_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Without MLflow's own."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


def end_of(status: str, end_ms: int | None) -> int | None:
    """Of a run that goes on again MLflow keeps the end that it had."""
    return None if status == "RUNNING" else end_ms


class RunStore(Protocol):
    """Reads while others write. Every method raises UserError where the store cannot be read."""

    def runs(self) -> list[PastRun]:
        """All that are not deleted, newest first."""
        ...

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        """The points of those metrics that the run has."""
        ...

    def artifacts(self, run_id: str) -> list[str]:
        """The paths of all files among the run's artifacts, sorted."""
        ...

    def artifact(self, run_id: str, path: str) -> Path | None:
        """A file or folder of the run's artifacts on this machine; None where there is none."""
        ...
