"""Jobs through SLURM: one array job, submitted by submitit; tasks are requeued after preemption or a time limit."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from icpo_cli.ablate.job import JOB
from icpo_cli.config.load import nearest
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JobDir, JobStatus, StudyDir

MAX_TIME_LIMITS = 1000
"""Requeues after a time limit, which submitit counts down: high enough that a study always continues."""
POLL_SECONDS = 0.5
QUEUE_SECONDS = 5.0
"""Between two calls of squeue."""
LOST_SECONDS = 30.0
"""Until a job that left the queue without files counts as lost: shared file systems have a delay."""
QUEUED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
EXTRA = "extra."


@dataclass(frozen=True)
class SlurmSettings:
    """Resources of each job in SLURM: `--slurm KEY=VALUE`."""

    partition: str | None = None
    time_minutes: int = 1440
    """Time limit; a job that is not done by then saves and is requeued."""
    save_minutes: int = 10
    """Time before the limit at which the job receives the signal to save; longer than the slowest iteration."""
    gpus: int = 0
    """Ranks of a run, one per GPU; 0 runs on CPU cores."""
    cpus: int = 1
    memory_gib: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    """Any other option of sbatch: extra.account=x."""


def slurm_settings(pairs: Sequence[str]) -> SlurmSettings:
    """Parse `--slurm KEY=VALUE ...`. Raises UserError."""
    names = [each.name for each in dataclasses.fields(SlurmSettings) if each.name != "extra"]
    values: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise UserError(f"--slurm {pair}: not a KEY=VALUE")
        if key.startswith(EXTRA):
            extra[key.removeprefix(EXTRA)] = value
        elif key not in names:
            raise UserError(f"--slurm {pair}: unknown key '{key}'{nearest(key, [*names, 'extra.OPTION'])}")
        elif key == "partition":
            values[key] = value
        elif not value.isdigit() or int(value) < (0 if key == "gpus" else 1):
            raise UserError(f"--slurm {pair}: '{value}' is not a whole number above 0")
        else:
            values[key] = int(value)
    settings = SlurmSettings(**values, extra=extra)
    if settings.save_minutes >= settings.time_minutes:
        raise UserError(
            f"--slurm save_minutes={settings.save_minutes}: must be under time_minutes, {settings.time_minutes}"
        )
    return settings


def batch_script(study: StudyDir, name: str, settings: SlurmSettings, at_once: int | None, jobs: int) -> str:
    """The batch script that submitit would submit for `jobs` jobs. Raises UserError without submitit."""
    _require_submitit()
    # submitit's executor has a method for this, but cannot be created where SLURM is not installed.
    from submitit.slurm.slurm import _make_sbatch_string

    folder = study.slurm.absolute()
    command = f"{sys.executable} -u -m submitit.core._submit {folder}"
    array: dict[str, Any] = {"map_count": jobs} if jobs > 1 else {}
    return str(_make_sbatch_string(command, folder, **_parameters(name, settings, at_once), **array))


class RunJob:
    """A task of the array job: submitit pickles it and calls it on the node."""

    def __init__(self, folder: str, settings: SlurmSettings, job: Sequence[str]) -> None:
        self._folder = folder
        self._settings = settings
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        threads = {"OMP_NUM_THREADS": str(self._settings.cpus)}
        ranks = str(max(1, self._settings.gpus))
        self._process = subprocess.Popen(
            [*self._job, self._folder, "--parent", str(os.getpid()), "--ranks", ranks, "--wait"],
            env={**os.environ, **threads},
            # Whether SLURM signals this process or its process group, the job gets the signal once, from this process.
            start_new_session=True,
        )
        # Requeue, preemption and scancel begin with SIGTERM, which submitit only logs.
        signal.signal(signal.SIGTERM, self._forward)
        # Not wait(): it holds a lock that the signal handler, which uses the process too, would wait for.
        while (status := self._process.poll()) is None:
            time.sleep(POLL_SECONDS)
        return status

    def checkpoint(self) -> Any:
        """Called by submitit near the time limit: the run saves, and the returned task runs when requeued."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(ChildProcessError):  # it has already ended
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(RunJob(self._folder, self._settings, self._job))

    def _forward(self, number: int, frame: types.FrameType | None) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class SlurmLauncher:
    """Jobs stay in SLURM when this process ends; the same command finds them in the queue again."""

    def __init__(
        self, study: StudyDir, name: str, settings: SlurmSettings, at_once: int | None, job: Sequence[str] = JOB
    ) -> None:
        """`at_once`: most jobs of the array that run in parallel; None: no limit. Raises UserError without SLURM."""
        _require_slurm()
        self._files = study
        self._name = name
        self._settings = settings
        self._at_once = at_once
        self._job = tuple(job)
        self._stopping = False
        self.ids: dict[Path, str] = {}
        """SLURM's id of each job: ARRAY_TASK."""
        self._statuses: dict[Path, JobStatus] = {}
        self._missing_since: dict[Path, float] = {}
        self._queue_read = -QUEUE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def begin(self, folders: Sequence[Path]) -> None:
        if not folders:
            return
        known = self._stored_ids()
        queued = self._queue(known.values())
        if queued is None:
            raise RunFailed("SLURM does not answer: squeue failed; run the same command again when it does")
        self.ids |= {folder: known[str(folder)] for folder in folders if known.get(str(folder)) in queued}
        fresh = [folder for folder in folders if folder not in self.ids]
        for folder in fresh:
            JobDir(folder).failure_file.unlink(missing_ok=True)
        if fresh:
            self.ids |= dict(zip(fresh, self._submit(fresh), strict=True))
        self._store_ids(known | {str(folder): job for folder, job in self.ids.items()})
        self._statuses |= {folder: JobStatus(Status.WAITING) for folder in folders}

    def poll(self) -> Mapping[Path, JobStatus]:
        if time.monotonic() - self._queue_read >= QUEUE_SECONDS:
            self._queue_read = time.monotonic()
            open_jobs = {folder: job for folder, job in self.ids.items() if not self._statuses[folder].status.ended}
            states = self._queue(open_jobs.values()) if open_jobs else {}
            if states is not None:
                for folder, job in open_jobs.items():
                    self._statuses[folder] = self._status(folder, states.get(job))
        return dict(self._statuses)

    @property
    def finished(self) -> bool:
        return self._stopping or all(job.status.ended for job in self._statuses.values())

    def stop(self, number: int) -> str:
        self._stopping = True
        left = [job for folder, job in self.ids.items() if not self._statuses[folder].status.ended]
        ids = sorted({job.split("_")[0] for job in left})
        return f"the jobs stay in SLURM; the same command watches them again, `scancel {' '.join(ids)}` ends them"

    def _status(self, folder: Path, state: str | None) -> JobStatus:
        """From the queue while the job is in it, then from the files of the job."""
        if state is not None:
            self._missing_since.pop(folder, None)
            if state == "COMPLETING":
                return self._statuses[folder]
            return JobStatus(Status.WAITING if state in QUEUED else Status.RUNNING)
        ended = JobDir(folder).status()
        if ended.status.ended:
            return ended
        if time.monotonic() - self._missing_since.setdefault(folder, time.monotonic()) < LOST_SECONDS:
            return self._statuses[folder]
        reason = f"left the queue before it was done; SLURM's log of it is in {self._files.slurm}"
        return JobStatus(Status.STOPPED, reason)

    def _submit(self, folders: Sequence[Path]) -> list[str]:
        import submitit

        executor = submitit.SlurmExecutor(self._files.slurm, max_num_timeout=MAX_TIME_LIMITS)
        executor.update_parameters(**_parameters(self._name, self._settings, self._at_once))
        tasks = [RunJob(str(folder), self._settings, self._job) for folder in folders]
        try:
            return [job.job_id for job in executor.submit_array(tasks)]
        except submitit.core.utils.FailedJobError as error:  # its last line is the message of sbatch
            raise RunFailed(f"SLURM did not take the jobs: {str(error).strip().splitlines()[-1]}") from error

    def _queue(self, jobs: Iterable[str]) -> dict[str, str] | None:
        """States of the jobs that are in the queue; None if squeue fails."""
        arrays = ",".join(sorted({job.split("_")[0] for job in jobs}))
        if not arrays:
            return {}
        command = ["squeue", "--noheader", "--array", f"--jobs={arrays}", "--format=%i %T"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            return None
        return dict(line.split() for line in done.stdout.splitlines())

    def _stored_ids(self) -> dict[str, str]:
        path = self._files.slurm_ids
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def _store_ids(self, ids: Mapping[str, str]) -> None:
        write_text(self._files.slurm_ids, json.dumps(ids))


def _require_slurm() -> None:
    """Raises UserError unless submitit and the commands of SLURM are installed."""
    _require_submitit()
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise UserError(f"--launcher slurm: {command} is not installed here; use --launcher local")


def _require_submitit() -> None:
    if importlib.util.find_spec("submitit") is None:
        raise UserError("--launcher slurm: submitit is not installed; pip install 'icpo-cli[slurm]'")


def _parameters(name: str, settings: SlurmSettings, at_once: int | None) -> dict[str, Any]:
    """Parameters of submitit's SlurmExecutor."""
    optional = {
        "partition": settings.partition,
        "gpus_per_node": settings.gpus or None,
        "mem": None if settings.memory_gib is None else f"{settings.memory_gib}GB",
        "array_parallelism": at_once,
    }
    return {
        "job_name": name,
        "time": settings.time_minutes,
        "signal_delay_s": settings.save_minutes * 60,
        "cpus_per_task": settings.cpus,
        # Since SLURM 22.05 srun does not inherit it from sbatch.
        "srun_args": [f"--cpus-per-task={settings.cpus}"],
        "additional_parameters": {"requeue": True, **settings.extra},
        **{key: value for key, value in optional.items() if value is not None},
    }
