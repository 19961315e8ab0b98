"""Jobs through SLURM: one array job, submitted by submitit, whose tasks go on after preemption or a time limit."""

import contextlib
import json
import os
import signal
import subprocess
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from icpo_cli.ablate.job import JOB
from icpo_cli.ablate.launch.launcher import Standing, standing_on_disk
from icpo_cli.ablate.launch.slurm_settings import SlurmSettings, parameters, require_slurm
from icpo_cli.errors import RunFailed
from icpo_cli.runs.files import write_text
from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.run_dir import Status

MOST_TIME_LIMITS = 1000
"""Requeues after a time limit, which submitit counts down: a study goes on until it is done."""
POLL_SECONDS = 0.5
ASK_SECONDS = 5.0
"""Between two questions to the queue."""
LOST_SECONDS = 30.0
"""For a job's files to appear here after it has left the queue: shared file systems lag."""
QUEUED = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")


class RunJob:
    """What a task of the array does: submitit stores it and calls it on the node."""

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
            # Whether SLURM signals this process alone or its whole group, the job is told once: by us.
            start_new_session=True,
        )
        # Requeue, preemption and scancel begin with SIGTERM, which submitit only notes.
        signal.signal(signal.SIGTERM, self._forward)
        # Not wait(): it holds a lock that a signal's handler, which works on the process too, would wait for.
        while (status := self._process.poll()) is None:
            time.sleep(POLL_SECONDS)
        return status

    def checkpoint(self) -> Any:
        """submitit calls it near the time limit: the run saves, the job is queued again, and this is what runs then."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(ChildProcessError):  # it has ended already
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(RunJob(self._folder, self._settings, self._job))

    def _forward(self, number: int, frame: types.FrameType | None) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class SlurmLauncher:
    """Jobs stay in SLURM when this process goes: the same command finds them in the queue again."""

    def __init__(
        self, study_folder: Path, name: str, settings: SlurmSettings, at_once: int | None, job: Sequence[str] = JOB
    ) -> None:
        """`at_once`: most jobs of the array that run together; None is all. Raises UserError without SLURM."""
        require_slurm()
        self._folder = study_folder / "slurm"
        self._name = name
        self._settings = settings
        self._at_once = at_once
        self._job = tuple(job)
        self._stopping = False
        self.ids: dict[Path, str] = {}
        """SLURM's name of each job: ARRAY_TASK."""
        self._standings: dict[Path, Standing] = {}
        self._missed: dict[Path, float] = {}
        self._asked = -ASK_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, folders: Sequence[Path]) -> None:
        if not folders:
            return
        known = self._stored_ids()
        queued = self._queue(known.values())
        if queued is None:
            raise RunFailed("SLURM does not answer: squeue failed; the same command goes on when it does")
        self.ids |= {folder: known[str(folder)] for folder in folders if known.get(str(folder)) in queued}
        fresh = [folder for folder in folders if folder not in self.ids]
        for folder in fresh:
            JobDir(folder).failure_file.unlink(missing_ok=True)
        if fresh:
            self.ids |= dict(zip(fresh, self._submit(fresh), strict=True))
        self._store_ids(known | {str(folder): job for folder, job in self.ids.items()})
        self._standings |= {folder: Standing(Status.WAITING) for folder in folders}

    def poll(self) -> Mapping[Path, Standing]:
        if time.monotonic() - self._asked >= ASK_SECONDS:
            self._asked = time.monotonic()
            open_jobs = {folder: job for folder, job in self.ids.items() if not self._standings[folder].state.ended}
            states = self._queue(open_jobs.values()) if open_jobs else {}
            if states is not None:
                for folder, job in open_jobs.items():
                    self._standings[folder] = self._standing(folder, states.get(job))
        return dict(self._standings)

    @property
    def finished(self) -> bool:
        return self._stopping or all(standing.state.ended for standing in self._standings.values())

    def stop(self, number: int) -> str:
        self._stopping = True
        left = [job for folder, job in self.ids.items() if not self._standings[folder].state.ended]
        ids = sorted({job.split("_")[0] for job in left})
        return f"the jobs stay in SLURM; the same command watches them again, `scancel {' '.join(ids)}` ends them"

    def _standing(self, folder: Path, state: str | None) -> Standing:
        """By the queue while it has the job, by the job's files after."""
        if state is not None:
            self._missed.pop(folder, None)
            if state == "COMPLETING":
                return self._standings[folder]
            return Standing(Status.WAITING if state in QUEUED else Status.RUNNING)
        told = standing_on_disk(folder)
        if told is not None:
            return told
        if time.monotonic() - self._missed.setdefault(folder, time.monotonic()) < LOST_SECONDS:
            return self._standings[folder]
        return Standing(Status.STOPPED, f"left the queue before it was done; SLURM's log of it is in {self._folder}")

    def _submit(self, folders: Sequence[Path]) -> list[str]:
        import submitit

        executor = submitit.SlurmExecutor(self._folder, max_num_timeout=MOST_TIME_LIMITS)
        executor.update_parameters(**parameters(self._name, self._settings, self._at_once))
        tasks = [RunJob(str(folder), self._settings, self._job) for folder in folders]
        try:
            return [job.job_id for job in executor.submit_array(tasks)]
        except submitit.core.utils.FailedJobError as error:  # sbatch's own words are its last line
            raise RunFailed(f"SLURM did not take the jobs: {str(error).strip().splitlines()[-1]}") from error

    def _queue(self, jobs: Any) -> dict[str, str] | None:
        """States of the jobs that the queue has; None when it does not answer."""
        wanted = ",".join(sorted({job.split("_")[0] for job in jobs}))
        if not wanted:
            return {}
        asked = ["squeue", "--noheader", "--array", f"--jobs={wanted}", "--format=%i %T"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            return None
        return dict(line.split() for line in done.stdout.splitlines())

    def _stored_ids(self) -> dict[str, str]:
        path = self._folder / "jobs.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def _store_ids(self, ids: Mapping[str, str]) -> None:
        write_text(self._folder / "jobs.json", json.dumps(ids))
