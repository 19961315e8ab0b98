"""How far a job's run is, read from its journal as it grows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.job import CONFIG
from icpo_cli.ablate.launch.launcher import Standing
from icpo_cli.ablate.study import Job

JOURNAL = "journal.jsonl"
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


class JournalReader:
    """Reads what was added to the newest run's journal since the last time.

    A half-written last line waits for its end; a journal that was written anew, as a resumed run's is, is read anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reset(None)

    def read(self) -> Progress:
        journals = [path.with_name(JOURNAL) for path in self._folder.glob(f"*/{CONFIG}")]
        newest = max((path for path in journals if path.exists()), key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            return Progress()
        state = newest.stat()
        if (newest, state.st_ino) != self._file or state.st_size < self._offset:
            self._reset((newest, state.st_ino))
        with newest.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            entry = json.loads(line)
            self._take(entry["step"], entry["metrics"])
        return self._progress

    def _reset(self, file: tuple[Path, int] | None) -> None:
        self._file = file
        self._offset = 0
        self._progress = Progress()
        self._seconds: list[float] = []

    def _take(self, step: int, metrics: Mapping[str, float]) -> None:
        shown: dict[str, Any] = {name: metrics[key] for key, name in SHOWN.items() if key in metrics}
        if SECONDS in metrics:
            self._seconds.append(metrics[SECONDS])
            shown["seconds"] = sum(self._seconds) / len(self._seconds)
        self._progress = replace(self._progress, iteration=max(step, self._progress.iteration), **shown)
        if HELDOUT in metrics:
            self._progress = replace(self._progress, evaluated=step, accuracy=metrics[HELDOUT])
