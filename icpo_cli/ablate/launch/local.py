"""Jobs on this machine, several in parallel: its cores and GPUs are divided between them."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from icpo_cli.ablate.job import DONE, JOB, STOPPED
from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JobDir, JobStatus
from icpo_cli.train.launch import visible_gpus

POLL_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The part of the machine that one job uses."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...]
    """Ids as in CUDA_VISIBLE_DEVICES."""

    @property
    def environment(self) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(len(self.cores))}
        return threads | ({"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else {})


def shares(jobs: int, uses_gpus: bool) -> tuple[Share, ...]:
    """Divide this machine into `jobs` nearly equal parts. Raises UserError if there are fewer cores or GPUs."""
    if jobs < 1:
        raise UserError(f"--jobs: {jobs} jobs at once; at least 1")
    cores = sorted(os.sched_getaffinity(0))
    gpus = visible_gpus() if uses_gpus else []
    for name, available in (("GPUs", gpus), ("cores", cores)):
        if available and jobs > len(available):
            raise UserError(f"--jobs: {jobs} jobs at once on {len(available)} {name}; at most {len(available)}")
    return tuple(Share(_part(cores, index, jobs), _part(gpus, index, jobs)) for index in range(jobs))


class LocalLauncher:
    """Runs one job per share at a time; when a job ends or fails, the next one starts."""

    def __init__(self, machine: Sequence[Share], job: Sequence[str] = JOB) -> None:
        self._free = list(machine)
        self._job = job
        self._statuses: dict[Path, JobStatus] = {}
        self._running: dict[Path, tuple[subprocess.Popen[bytes], Share]] = {}
        self._stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._stopping:  # a second signal would kill the jobs before they save
            self.stop(signal.SIGTERM)
        while self._running:
            self.poll()
            time.sleep(POLL_SECONDS)

    def begin(self, folders: Sequence[Path]) -> None:
        self._statuses |= {folder: JobStatus(Status.WAITING) for folder in folders}

    def poll(self) -> Mapping[Path, JobStatus]:
        for folder, (process, share) in list(self._running.items()):
            if (status := process.poll()) is not None:
                del self._running[folder]
                self._free.append(share)
                self._statuses[folder] = self._ended(folder, status)
        waiting = [folder for folder, job in self._statuses.items() if job.status is Status.WAITING]
        for folder in [] if self._stopping else waiting[: len(self._free)]:
            share = self._free.pop(0)
            self._running[folder] = (self._start(folder, share), share)
            self._statuses[folder] = JobStatus(Status.RUNNING)
        return dict(self._statuses)

    @property
    def finished(self) -> bool:
        waiting = any(job.status is Status.WAITING for job in self._statuses.values())
        return not self._running and (self._stopping or not waiting)

    def stop(self, number: int) -> str:
        self._stopping = True
        for process, _ in self._running.values():
            process.send_signal(number)
        return f"{len(self._running)} running jobs finish their iteration and save; a second signal kills them"

    def _start(self, folder: Path, share: Share) -> subprocess.Popen[bytes]:
        ranks = str(max(1, len(share.gpus)))
        with JobDir(folder).log.open("ab") as log:
            process = subprocess.Popen(
                # --wait: the job of a study that was killed may still be saving.
                [*self._job, str(folder), "--parent", str(os.getpid()), "--ranks", ranks, "--wait"],
                env={**os.environ, **share.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C reaches this process alone, which forwards it to each job once.
                start_new_session=True,
            )
        os.sched_setaffinity(process.pid, share.cores)
        return process

    def _ended(self, folder: Path, status: int) -> JobStatus:
        if status in STOPPED or (self._stopping and status < 0):
            return JobStatus(Status.STOPPED)
        job = JobDir(folder)
        ended = job.status()
        if not ended.status.ended or (status == DONE) != (ended.status is Status.DONE):  # job.py was killed or failed
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            reason = f"the job's process ended with {how}; log: {job.log}"
            job.failure_file.write_text(f"{reason}\n", encoding="utf-8")
            return JobStatus(Status.FAILED, reason)
        return ended


def _part(items: Sequence[T], index: int, parts: int) -> tuple[T, ...]:
    return tuple(items[index * len(items) // parts : (index + 1) * len(items) // parts])
