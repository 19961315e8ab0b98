"""The folder of a study, and those of its jobs.

STUDY/study.json, study.lock      the id of its MLflow run; locked while `icpo ablate` runs the study
STUDY/table.md, table.csv         tables of the results so far
STUDY/result.json                 the results, with the table that `icpo report` shows
STUDY/input_parity.md             hashes of the jobs' inputs
STUDY/curves/                     figures
STUDY/coarse.jsonl, coarse.json   the questions that the probe selected, and how
STUDY/start/                      evaluations before the first iteration, which the runs share
STUDY/slurm/                      files of submitit, and the ids of its jobs
STUDY/probe/                      the job of the probe
STUDY/<arm>/seed-<n>/             the job of an arm with a seed

JOB/config.yaml      the configuration that `icpo train` gets
JOB/<run id>/        the run
JOB/outcome.json     `icpo train --json`'s document, once all iterations are done: the job is done
JOB/job.log          standard error
JOB/failure.txt      one line, when the run failed; the next start removes it
JOB/job.lock         locked as long as a process of the job lives
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from icpo_cli.runs.files import Below
from icpo_cli.runs.run_dir import CONFIG, RunDir, Status, runs_in

JOB_STATUSES = (Status.WAITING, Status.UNFINISHED, Status.FAILED, Status.DONE)
"""Statuses that a job's files distinguish."""


@dataclass(frozen=True)
class StudyDir:
    """A study's folder, which is next to that of the runs."""

    path: Path

    record_file = Below("study.json")
    lock = Below("study.lock")
    table_file = Below("table.md")
    csv_file = Below("table.csv")
    result_file = Below("result.json")
    input_parity_file = Below("input_parity.md")
    curves = Below("curves")
    coarse_questions = Below("coarse.jsonl")
    coarse_record = Below("coarse.json")
    start = Below("start")
    slurm = Below("slurm")
    slurm_ids = Below("slurm/jobs.json")
    probe = Below("probe")
    """Folder of a job, as are those of `job`."""

    OWN = ("probe", "start", "curves", "slurm")
    """Names of folders that no arm may have."""

    @classmethod
    def named(cls, name: str, output_dir: Path) -> "StudyDir":
        """`output_dir`: folder of single runs."""
        return cls(output_dir.parent / "studies" / name)

    def job(self, arm: str, seed: int) -> Path:
        return self.path / slug(arm) / f"seed-{seed}"


def slug(name: str) -> str:
    """A name as that of a folder: "icpo delta=0.3" becomes icpo-delta-0.3."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def runs_of_studies(output_dir: Path) -> list[RunDir]:
    """All runs in the studies next to the folder of single runs."""
    studies = StudyDir.named("", output_dir).path
    folders = [*studies.glob("*/probe"), *studies.glob("*/*/seed-*")]
    return [run for folder in folders for run in runs_in(folder)]


class JobStatus(NamedTuple):
    """Status of a job, with the reason if it failed or was lost: one line."""

    status: Status
    reason: str = ""


@dataclass(frozen=True)
class JobDir:
    """One arm of a study with one seed, as icpo_cli.ablate.job runs it."""

    path: Path

    config_file = Below(CONFIG)
    outcome_file = Below("outcome.json")
    log = Below("job.log")
    failure_file = Below("failure.txt")
    lock = Below("job.lock")

    def status(self) -> JobStatus:
        """One of JOB_STATUSES."""
        if self.outcome_file.is_file():
            return JobStatus(Status.DONE)
        if (failure := _text(self.failure_file)) is not None:
            return JobStatus(Status.FAILED, " ".join(failure.split()))
        return JobStatus(Status.UNFINISHED if self.runs() else Status.WAITING)

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
        """The run that completed the job, else the one whose journal was written last; it may be running."""
        outcome = _text(self.outcome_file)
        if outcome is not None:
            return RunDir(self.path / json.loads(outcome)["run_id"])
        return max(self.runs(), key=lambda run: run.journal.modified(), default=None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
