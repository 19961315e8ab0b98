"""How far a job's run is, read from its journal as it grows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from icpo_cli.ablate.launch.launcher import Standing
from icpo_cli.ablate.study import Job
from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.journal import START

SHOWN = {"reward/verif": "reward", "entropy": "entropy", "omega": "omega"}
HELDOUT = "eval/heldout/avg_at_k"
SECONDS = "seconds/iteration"


@dataclass(frozen=True)
class Progress:
    """The newest values of a run; None until there is one."""

    iteration: int = 0
    evaluated: int | None = None
    """The iteration after which it was last evaluated."""
    accuracy: float | None = None
    """Held-out, in percent, then."""
    reward: float | None = None
    entropy: float | None = None
    omega: float | None = None
    seconds: float | None = None
    """An iteration's, on average."""


@dataclass(frozen=True)
class JobView:
    """One job, as a user is shown it."""

    job: Job
    standing: Standing
    progress: Progress

    @property
    def iterations(self) -> int:
        return self.job.config.train.iterations

    @property
    def seconds_left(self) -> float | None:
        seconds = self.progress.seconds
        return None if seconds is None else seconds * (self.iterations - self.progress.iteration)


class ProgressReader:
    """Follows the journal of a job's newest run, reading only what was added since the last call."""

    def __init__(self, job: JobDir) -> None:
        self._job = job
        self._position = START
        self._progress = Progress()
        self._seconds: list[float] = []

    def read(self) -> Progress:
        run = self._job.newest_run()
        if run is None:
            return Progress()
        entries, position = run.journal.read_from(self._position)
        if position.file != self._position.file:
            self._progress, self._seconds = Progress(), []
        self._position = position
        for entry in entries:
            self._take(entry.step, entry.metrics)
        return self._progress

    def _take(self, step: int, metrics: Mapping[str, float]) -> None:
        shown: dict[str, Any] = {name: metrics[key] for key, name in SHOWN.items() if key in metrics}
        if SECONDS in metrics:
            self._seconds.append(metrics[SECONDS])
            shown["seconds"] = sum(self._seconds) / len(self._seconds)
        self._progress = replace(self._progress, iteration=max(step, self._progress.iteration), **shown)
        if HELDOUT in metrics:
            self._progress = replace(self._progress, evaluated=step, accuracy=metrics[HELDOUT])
