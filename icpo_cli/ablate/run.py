"""Run a study: its probe if it has one, then all jobs that are not done."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from icpo_cli.ablate.coarse import CoarseData, select_coarse
from icpo_cli.ablate.collect import JobView, ProgressReader, collect
from icpo_cli.ablate.launch.launcher import JobStatus, Launcher
from icpo_cli.ablate.record import StudyRecord, recorded
from icpo_cli.ablate.result import PARITY_FACTS, InputDifference, StudyResult, result_of
from icpo_cli.ablate.study import Job, Study, probe_job
from icpo_cli.config.load import to_yaml
from icpo_cli.errors import RunFailed
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.files import locked, write_text
from icpo_cli.runs.run_dir import JobDir, RunDir, Status

POLL_SECONDS = 1.0
REFRESH_SECONDS = 120.0
"""Between two updates of tables and curves while jobs run, because drawing takes CPU time from them."""


class StudyView(Protocol):
    """Displays a running study."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, views: Sequence[JobView]) -> None:
        """Show the current state of every job."""

    def note(self, text: str) -> None:
        """Show a message that the user should read."""


@dataclass(frozen=True)
class StudyEnd:
    """How a call of run_study ended."""

    result: StudyResult
    jobs: tuple[JobView, ...]
    stopped_by: int
    """The signal that stopped it early; 0 if every job was started."""

    @property
    def not_done(self) -> tuple[JobView, ...]:
        return tuple(view for view in self.jobs if view.status is not Status.DONE)


def run_study(
    study: Study,
    new_launcher: Callable[[int | None], Launcher],
    at_once: int | None,
    view: StudyView,
) -> StudyEnd:
    """Run all jobs that are not done. The same call resumes a study that was interrupted.

    `new_launcher`: makes a launcher for a number of parallel jobs. Raises UserError before anything runs, or if the
    verdicts of the probe select no data, and RunFailed if the probe fails.
    """
    launcher, probe_launcher = new_launcher(at_once), new_launcher(1)
    study.folder.mkdir(parents=True, exist_ok=True)
    lock = locked(study.folder / "study.lock", busy=f"{study.folder}: another icpo ablate is running this study")
    with lock, StopSignal() as stop, recorded(study, view.note) as record, view:
        if study.probe is not None:
            probe_run = _probed(study, probe_launcher, record, view, stop)
            if probe_run is not None:
                view.note(coarse_text(select_coarse(probe_run, study.folder)))
        jobs = [] if stop.signal else record.jobs
        views = _run(jobs, launcher, record, view, stop)
        result = result_of(study, record.run_id, collect(record.jobs))
        for difference in result.input_differences:
            view.note(difference_text(difference))
        incomplete = not jobs or any(each.status not in (Status.DONE, Status.FAILED) for each in views)
        return StudyEnd(result, views, stop.signal if incomplete else 0)


def coarse_text(data: CoarseData) -> str:
    counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in data.counts.items())
    return f"{data.prompts} questions selected by probe {data.probe}: {counts}"


def difference_text(difference: InputDifference) -> str:
    facts = ", ".join(PARITY_FACTS[fact] for fact in difference.facts)
    return f"seed {difference.seed}: {facts} of {difference.arm} differ from those of {difference.against}"


def _probed(study: Study, launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal) -> RunDir | None:
    """The earlier run that replaces the probe, or the study's own probe, run now if not done; None if stopped."""
    assert study.probe is not None
    if study.probe_run is not None:
        return RunDir(Path(study.probe_run))
    job = probe_job(study, study.probe, record.run_id)
    [ended] = _run([job], launcher, record, view, stop)
    if ended.status is Status.DONE:
        return JobDir(job.folder).resumable_run()
    if stop.signal:
        return None
    raise RunFailed(f"the study's probe {ended.status}: {ended.reason}")


def _run(
    jobs: Sequence[Job], launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal
) -> tuple[JobView, ...]:
    """Run every job that is not done to its end, or until a stop was requested."""
    done = {job.folder: JobStatus(Status.DONE) for job in jobs if JobDir(job.folder).status() is Status.DONE}
    readers = {job.folder: ProgressReader(JobDir(job.folder)) for job in jobs}
    for job in jobs:
        _write_config(job)

    def views() -> tuple[JobView, ...]:
        statuses = {**launcher.poll(), **done}
        return tuple(
            JobView(job, statuses[job.folder].status, statuses[job.folder].reason, readers[job.folder].read())
            for job in jobs
        )

    with launcher:
        launcher.begin([job.folder for job in jobs if job.folder not in done])
        refreshed, stopping = time.monotonic(), False
        while True:
            current = views()
            view.show(current)
            if launcher.finished:
                return current
            if stop.signal and not stopping:
                stopping = True
                view.note(launcher.stop(stop.signal))
            if time.monotonic() - refreshed > REFRESH_SECONDS:
                record.refresh()
                refreshed = time.monotonic()
            time.sleep(POLL_SECONDS)


def _write_config(job: Job) -> None:
    """Write the configuration for `icpo train`; a job that has already begun a run keeps the one it began with."""
    job.folder.mkdir(parents=True, exist_ok=True)
    folder = JobDir(job.folder)
    if not folder.runs():
        write_text(folder.config_file, to_yaml(job.config))
