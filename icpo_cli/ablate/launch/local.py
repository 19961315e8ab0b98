"""Jobs on this machine: several at once, the cores and GPUs divided among them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from icpo_cli.ablate.job import DONE, JOB, STOPPED
from icpo_cli.ablate.launch.launcher import Standing, standing_on_disk
from icpo_cli.errors import UserError
from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.run_dir import Status

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Share:
    """The part of the machine that one job has at a time."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES names them."""

    @property
    def environment(self) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(len(self.cores))}
        return threads | ({"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else {})


def shares(jobs: int, uses_gpus: bool) -> tuple[Share, ...]:
    """This machine in `jobs` parts, as equal as whole cores and GPUs allow. Raises UserError when there are fewer."""
    if jobs < 1:
        raise UserError(f"--jobs: {jobs} jobs at once; at least 1")
    cores = sorted(os.sched_getaffinity(0))
    gpus = visible_gpus() if uses_gpus else []
    for name, there in (("GPUs", gpus), ("cores", cores)):
        if there and jobs > len(there):
            raise UserError(f"--jobs: {jobs} jobs at once on {len(there)} {name}; at most {len(there)}")
    return tuple(Share(_part(cores, place, jobs), _part(gpus, place, jobs)) for place in range(jobs))


def visible_gpus() -> list[str]:
    """The GPUs that this process may use: CUDA_VISIBLE_DEVICES where it is set, else all that the driver lists."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    return listed.stdout.split() if listed.returncode == 0 else []


class LocalLauncher:
    """One job a share at a time; a job that ends makes room for the next, however it ended."""

    def __init__(self, machine: Sequence[Share], job: Sequence[str] = JOB) -> None:
        self._free = list(machine)
        self._job = job
        self._standings: dict[Path, Standing] = {}
        self._running: dict[Path, tuple[subprocess.Popen[bytes], Share]] = {}
        self._stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stopping:  # a second signal would end the jobs unsaved
            self.stop(signal.SIGTERM)
        while self._running:
            self.poll()
            time.sleep(POLL_SECONDS)

    def begin(self, folders: Sequence[Path]) -> None:
        self._standings |= {folder: Standing(Status.WAITING) for folder in folders}

    def poll(self) -> Mapping[Path, Standing]:
        for folder, (process, share) in list(self._running.items()):
            if (status := process.poll()) is not None:
                del self._running[folder]
                self._free.append(share)
                self._standings[folder] = self._ended(folder, status)
        waiting = [folder for folder, standing in self._standings.items() if standing.state is Status.WAITING]
        for folder in [] if self._stopping else waiting[: len(self._free)]:
            share = self._free.pop(0)
            self._running[folder] = (self._start(folder, share), share)
            self._standings[folder] = Standing(Status.RUNNING)
        return dict(self._standings)

    @property
    def finished(self) -> bool:
        waiting = any(standing.state is Status.WAITING for standing in self._standings.values())
        return not self._running and (self._stopping or not waiting)

    def stop(self, number: int) -> str:
        self._stopping = True
        for process, _ in self._running.values():
            process.send_signal(number)
        return f"{len(self._running)} running jobs finish their iteration and save; a second signal ends them at once"

    def _start(self, folder: Path, share: Share) -> subprocess.Popen[bytes]:
        ranks = str(max(1, len(share.gpus)))
        with JobDir(folder).log.open("ab") as log:
            process = subprocess.Popen(
                # --wait: a job of a coordinator that was killed may still be saving.
                [*self._job, str(folder), "--parent", str(os.getpid()), "--ranks", ranks, "--wait"],
                env={**os.environ, **share.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C reaches this process alone, which tells each job once.
                start_new_session=True,
            )
        os.sched_setaffinity(process.pid, share.cores)
        return process

    def _ended(self, folder: Path, status: int) -> Standing:
        if status in STOPPED or (self._stopping and status < 0):
            return Standing(Status.STOPPED)
        told = standing_on_disk(folder)
        if told is None or (status == DONE) != (told.state is Status.DONE):  # job.py itself was killed, or broke
            job = JobDir(folder)
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            why = f"the job's process ended with {how}; log: {job.log}"
            job.failure_file.write_text(f"{why}\n", encoding="utf-8")
            return Standing(Status.FAILED, why)
        return told


def _part(whole: Sequence, place: int, parts: int) -> tuple:
    return tuple(whole[place * len(whole) // parts : (place + 1) * len(whole) // parts])
