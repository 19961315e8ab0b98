"""Run a study: its probe if it has one, then all jobs that are not done; and the records of the running study.

The study is an MLflow run, the parent of its jobs' runs. Tables and curves are updated while it runs.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from icpo_cli.ablate.coarse import counts_text, select_coarse
from icpo_cli.ablate.curves import draw_curves
from icpo_cli.ablate.result import JobReader, JobRecord, StudyResult, collect, result_of
from icpo_cli.ablate.study import Job, Study, jobs_of, probe_job
from icpo_cli.ablate.table import facts_text, input_parity_markdown, table_document, to_csv, to_markdown
from icpo_cli.config.load import flatten, to_tree, to_yaml
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.files import locked, write_text
from icpo_cli.runs.run_dir import KIND, Kind, RunDir, Status
from icpo_cli.runs.study_dir import JobStatus
from icpo_cli.track.mlflow_store import STORE_ERRORS, MlflowStore
from icpo_cli.track.tracker import code_version

POLL_SECONDS = 1.0
REFRESH_SECONDS = 120.0
"""Between two updates of tables and curves while jobs run, because drawing takes CPU time from them."""


class Launcher(Protocol):
    """Runs jobs, each a folder for icpo_cli.ablate.job. No local process is left when the context ends."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def begin(self, folders: Sequence[Path]) -> None:
        """Accept jobs, in this order; the caller leaves out jobs that are done. Raises RunFailed."""

    def poll(self) -> Mapping[Path, JobStatus]:
        """Start as many jobs as there are free resources for, and return the status of every job."""

    @property
    def finished(self) -> bool:
        """Whether this process has nothing left to wait for."""

    def stop(self, number: int) -> str:
        """After signal `number`: start no more jobs, and stop or leave the running ones; a message for the user."""


class StudyView(Protocol):
    """Displays a running study."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, records: Sequence[JobRecord]) -> None:
        """Show the current state of every job."""

    def note(self, text: str) -> None:
        """Show a message that the user should read."""


class StudyRecord:
    """Records of a running study. If the MLflow store fails, a warning is shown and the study continues."""

    def __init__(self, study: Study, store: MlflowStore, warn: Callable[[str], None]) -> None:
        self.study = study
        self.run_id = store.run_id
        self.jobs = jobs_of(study, store.run_id)
        self._store = store
        self._warn = warn

    def describe(self) -> None:
        """Log arms, seeds, code version, and the configuration of the base arm."""
        config = flatten(to_tree(self.study.arms[0].config))
        # Without the seed: seeds can be added to a study later, but an MLflow parameter cannot be changed.
        params = {key: value for key, value in config.items() if key != "seed"}
        tags = {
            KIND: Kind.STUDY,
            "study.name": self.study.name,
            "study.about": self.study.about,
            "study.folder": str(self.study.folder),
            "study.seeds": ", ".join(map(str, self.study.seeds)),
            "study.arms": json.dumps({arm.name: arm.overrides for arm in self.study.arms}),
        }
        self._try(lambda: self._store.log_params(params))
        self._try(lambda: self._store.log_tags(tags | code_version()))

    def refresh(self) -> StudyResult:
        """Write tables and curves of the results so far into the study's folder, then log them to MLflow."""
        files, records = self.study.files, collect(self.jobs)
        result = result_of(self.study, self.run_id, records)
        texts = {
            files.table_file: to_markdown(result),
            files.csv_file: to_csv(result),
            files.input_parity_file: input_parity_markdown(result),
            files.result_file: json.dumps(result.document() | {"table": table_document(result)}, indent=2),
        }
        for path, text in texts.items():
            write_text(path, text)
        curves = draw_curves(result)
        done = sum(record.status is Status.DONE for record in records)
        self._try(lambda: self._send([*texts, *curves]))
        self._try(lambda: self._store.log_tags({"study.jobs_done": f"{done} of {len(records)}"}))
        return result

    def end(self, status: Status) -> None:
        self._try(lambda: self._store.end(status))

    def _send(self, paths: list[Path]) -> None:
        for path in paths:
            self._store.log_artifact(path, None if path.parent == self.study.folder else path.parent.name)

    def _try(self, log: Callable[[], None]) -> None:
        try:
            log()
        except STORE_ERRORS as error:
            reason = " ".join(str(error).split())[:200]
            self._warn(f"MLflow did not answer; the study's record is in {self.study.folder}: {reason}")


@contextmanager
def recorded(study: Study, warn: Callable[[str], None]) -> Iterator[StudyRecord]:
    """The study's record; when the block ends, its status in MLflow is set.

    DONE if all jobs are done, FAILED if one failed or the block raises, STOPPED if jobs are left that can be resumed.
    Raises UserError if no MLflow store can be used.
    """
    record = StudyRecord(study, _store(study, warn), warn)
    status = Status.FAILED
    try:
        record.describe()
        yield record
        status = _status(record.refresh())
    except KeyboardInterrupt:
        status = Status.STOPPED
        raise
    finally:
        record.end(status)


def _store(study: Study, warn: Callable[[str], None]) -> MlflowStore:
    """The study's MLflow run: its earlier one if that still exists, else a new one."""
    track, path = study.arms[0].config.track, study.files.record_file
    if path.is_file():
        try:
            return MlflowStore.open(track.uri, json.loads(path.read_text(encoding="utf-8"))["run_id"])
        except UserError as error:
            warn(f"the study gets a new run in MLflow: {error}")
    store = MlflowStore.create(track.uri, track.experiment, study.name)
    study.folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"run_id": store.run_id, "study": study.name}))
    return store


def _status(result: StudyResult) -> Status:
    statuses = {job.status for job in result.jobs}
    if statuses & {Status.WAITING, Status.UNFINISHED}:
        return Status.STOPPED
    return Status.FAILED if Status.FAILED in statuses else Status.DONE


@dataclass(frozen=True)
class StudyEnd:
    """How a call of run_study ended."""

    result: StudyResult
    jobs: tuple[JobRecord, ...]
    """With the statuses of the launcher."""
    stopped_by: int
    """The signal that stopped it early; 0 if every job was started."""

    @property
    def not_done(self) -> tuple[JobRecord, ...]:
        return tuple(record for record in self.jobs if record.status is not Status.DONE)


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
    lock = locked(study.files.lock, busy=f"{study.folder}: another icpo ablate is running this study")
    with lock, StopSignal() as stop, recorded(study, view.note) as record, view:
        if study.probe is not None:
            probe_run = _probed(study, probe_launcher, record, view, stop)
            if probe_run is not None:
                data = select_coarse(probe_run, study.files)
                view.note(f"{data.prompts} questions selected by probe {data.probe}: {counts_text(data.counts)}")
        jobs = [] if stop.signal else record.jobs
        ended = _run(jobs, launcher, record, view, stop)
        result = result_of(study, record.run_id, collect(record.jobs))
        for (arm, seed), facts in result.input_differences.items():
            view.note(f"seed {seed}: {facts_text(facts)} of {arm} differ from those of {result.against[arm]}")
        incomplete = not jobs or any(each.status not in (Status.DONE, Status.FAILED) for each in ended)
        return StudyEnd(result, ended, stop.signal if incomplete else 0)


def _probed(study: Study, launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal) -> RunDir | None:
    """The earlier run that replaces the probe, or the study's own probe, run now if not done; None if stopped."""
    assert study.probe is not None
    if study.probe_run is not None:
        return RunDir(Path(study.probe_run))
    job = probe_job(study, study.probe, record.run_id)
    [ended] = _run([job], launcher, record, view, stop)
    if ended.status is Status.DONE:
        return job.files.newest_run()
    if stop.signal:
        return None
    raise RunFailed(f"the study's probe {ended.status}: {ended.reason}")


def _run(
    jobs: Sequence[Job], launcher: Launcher, record: StudyRecord, view: StudyView, stop: StopSignal
) -> tuple[JobRecord, ...]:
    """Run every job that is not done to its end, or until a stop was requested."""
    done = {job.folder: JobStatus(Status.DONE) for job in jobs if job.files.status().status is Status.DONE}
    readers = {job.folder: JobReader(job) for job in jobs}
    for job in jobs:
        _write_config(job)

    def records() -> tuple[JobRecord, ...]:
        statuses = {**launcher.poll(), **done}
        return tuple(
            replace(reader.read(), status=statuses[folder].status, reason=statuses[folder].reason)
            for folder, reader in readers.items()
        )

    with launcher:
        launcher.begin([job.folder for job in jobs if job.folder not in done])
        refreshed, stopping = time.monotonic(), False
        while True:
            current = records()
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
    if not job.files.runs():
        write_text(job.files.config_file, to_yaml(job.config))
