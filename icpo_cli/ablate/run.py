"""A study from its plan to its outcome: the probe where it has one, then all jobs not yet done, under one record."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from icpo_cli.ablate.coarse import CoarseData, select_coarse
from icpo_cli.ablate.collect import collect
from icpo_cli.ablate.fairness import FACTS, Difference
from icpo_cli.ablate.launch.launcher import Launcher, Standing
from icpo_cli.ablate.outcome import Outcome, outcome_of
from icpo_cli.ablate.progress import JobView, ProgressReader
from icpo_cli.ablate.record import StudyRecord, recorded
from icpo_cli.ablate.study import Job, Study, probe_job
from icpo_cli.config.load import to_yaml
from icpo_cli.errors import RunFailed
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.files import locked, write_text
from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.run_dir import RunDir, Status

POLL_SECONDS = 1.0
REFRESH_SECONDS = 120.0
"""Between two tables and curves while jobs run: drawing takes cores from them."""


class StudyView(Protocol):
    """What hears of a study while it runs."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, views: Sequence[JobView]) -> None:
        """Every job as it stands now."""

    def note(self, text: str) -> None:
        """Something a user should read."""


@dataclass(frozen=True)
class Ended:
    """What a study came to."""

    outcome: Outcome
    jobs: tuple[JobView, ...]
    stopped_by: int
    """The signal that ended it early; 0 when every job was given its chance."""

    @property
    def not_done(self) -> tuple[JobView, ...]:
        return tuple(view for view in self.jobs if view.standing.state is not Status.DONE)


def run_study(
    study: Study,
    new_launcher: Callable[[int | None], Launcher],
    at_once: int | None,
    view: StudyView,
) -> Ended:
    """Run what is not done. The same call goes on with a study that was interrupted in any way.

    new_launcher(n): a launcher of n jobs at once; None is its own default. Raises UserError before anything runs,
    or when the probe's verdicts select nothing, and RunFailed where the probe cannot be had.
    """
    launcher, probe_launcher = new_launcher(at_once), new_launcher(1)
    study.folder.mkdir(parents=True, exist_ok=True)
    lock = locked(study.folder / "study.lock", busy=f"{study.folder}: another icpo ablate is at work on this study")
    with lock, StopSignal() as stop, recorded(study, view.note) as record, view:
        if study.probe is not None:
            probe_run = _probed(study, probe_launcher, record, view, stop)
            if probe_run is not None:
                view.note(coarse_text(select_coarse(probe_run, study.folder)))
        jobs = [] if stop.signal else record.jobs
        views = _run(jobs, launcher, record, view, stop)
        outcome = outcome_of(study, record.run_id, collect(record.jobs))
        for difference in outcome.unfair:
            view.note(unfair_text(difference))
        cut_short = not jobs or any(each.standing.state not in (Status.DONE, Status.FAILED) for each in views)
        return Ended(outcome, views, stop.signal if cut_short else 0)


def coarse_text(data: CoarseData) -> str:
    counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in data.counts.items())
    return f"{data.prompts} questions selected by probe {data.probe}: {counts}"


def unfair_text(difference: Difference) -> str:
    facts = ", ".join(FACTS[fact] for fact in difference.facts)
    return f"seed {difference.seed}: {facts} of {difference.arm} are not those of {difference.against}"


def _probed(study: Study, launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal) -> RunDir | None:
    """The probe run: the one that was named, or the study's own, run now if it has not been. None when stopped."""
    assert study.probe is not None
    if study.probe_run is not None:
        return RunDir(Path(study.probe_run))
    job = probe_job(study, study.probe, record.run_id)
    [ended] = _run([job], launcher, record, view, stop)
    if ended.standing.state is Status.DONE:
        return JobDir(job.folder).resumable_run()
    if stop.signal:
        return None
    raise RunFailed(f"the study's probe {ended.standing.state}: {ended.standing.why}")


def _run(
    jobs: Sequence[Job], launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal
) -> tuple[JobView, ...]:
    """Every job to its end, or as far as it came when a stop was asked for; those that are done are left alone."""
    done = {job.folder: Standing(Status.DONE) for job in jobs if JobDir(job.folder).status() is Status.DONE}
    readers = {job.folder: ProgressReader(JobDir(job.folder)) for job in jobs}
    for job in jobs:
        _write_config(job)

    def views() -> tuple[JobView, ...]:
        standings = {**launcher.poll(), **done}
        return tuple(JobView(job, standings[job.folder], readers[job.folder].read()) for job in jobs)

    with launcher:
        launcher.begin([job.folder for job in jobs if job.folder not in done])
        refreshed, told = time.monotonic(), False
        while True:
            now = views()
            view.show(now)
            if launcher.finished:
                return now
            if stop.signal and not told:
                told = True
                view.note(launcher.stop(stop.signal))
            if time.monotonic() - refreshed > REFRESH_SECONDS:
                record.refresh()
                refreshed = time.monotonic()
            time.sleep(POLL_SECONDS)


def _write_config(job: Job) -> None:
    """What `icpo train` is given; a job that has begun a run keeps what it began with."""
    job.folder.mkdir(parents=True, exist_ok=True)
    folder = JobDir(job.folder)
    if not folder.runs():
        write_text(folder.config_file, to_yaml(job.config))
