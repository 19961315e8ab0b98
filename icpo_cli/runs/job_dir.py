"""The folder of a study's job: its own files, and its runs below it.

FOLDER/config.yaml      the configuration that `icpo train` gets
FOLDER/<run id>/        the run
FOLDER/outcome.json     `icpo train --json`'s document, once all iterations are done: the job is done
FOLDER/job.log          standard error
FOLDER/failure.txt      one line, when the run failed; the next start removes it
FOLDER/job.lock         locked as long as a process of the job lives
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.runs.run_dir import CONFIG, RunDir, Status, runs_in

STATUSES = (Status.WAITING, Status.UNFINISHED, Status.FAILED, Status.DONE)
"""Statuses that a job's files distinguish."""


@dataclass(frozen=True)
class JobDir:
    """One arm of a study with one seed, as icpo_cli.ablate.job runs it."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / CONFIG

    @property
    def outcome_file(self) -> Path:
        return self.path / "outcome.json"

    @property
    def log(self) -> Path:
        return self.path / "job.log"

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.txt"

    @property
    def lock(self) -> Path:
        return self.path / "job.lock"

    def outcome(self) -> dict[str, Any] | None:
        """The document of the finished run; None before the job is done."""
        text = _text(self.outcome_file)
        return None if text is None else dict(json.loads(text))

    def failure(self) -> str:
        """Why the job failed, in one line; empty in every other status."""
        return " ".join((_text(self.failure_file) or "").split()) if self.status() is Status.FAILED else ""

    def status(self) -> Status:
        """One of STATUSES."""
        if self.outcome_file.is_file():
            return Status.DONE
        if self.failure_file.is_file():
            return Status.FAILED
        return Status.UNFINISHED if self.runs() else Status.WAITING

    def runs(self) -> list[RunDir]:
        return runs_in(self.path)

    def resumable_run(self) -> RunDir | None:
        """The run saved last; of runs that saved nothing, the newest whose own configuration was written completely."""
        saved = {run: checkpoint.folder for run in self.runs() if (checkpoint := run.checkpoint()) is not None}
        if saved:
            return max(saved, key=lambda run: saved[run].stat().st_mtime)
        complete = self.config_file.read_bytes()
        begun = [run for run in self.runs() if run.config_file.read_bytes() == complete]
        return max(begun, key=lambda run: run.path.stat().st_mtime, default=None)

    def newest_run(self) -> RunDir | None:
        """The run whose journal was written last; it may be running."""
        return max(self.runs(), key=lambda run: run.journal.modified(), default=None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
