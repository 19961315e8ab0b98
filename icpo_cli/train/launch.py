"""Several local ranks, each a process of this command; the first that fails ends the others."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from icpo_cli.errors import EXIT_USER_ERROR, RunFailed, UserError

GRACE_SECONDS = 10
"""Between asking the remaining ranks to end and ending them."""


@dataclass(frozen=True)
class Ended:
    """How a rank ended: an exit status, negative for a signal."""

    rank: int
    status: int

    def __str__(self) -> str:
        if self.status < 0:
            return f"rank {self.rank} was ended by {signal.Signals(-self.status).name}"
        return f"rank {self.rank} failed with status {self.status}"


def adopt_slurm() -> None:
    """Under srun, what torchrun would have set; torchrun's own variables stand."""
    if "WORLD_SIZE" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return
    os.environ.update(
        RANK=os.environ["SLURM_PROCID"],
        WORLD_SIZE=os.environ["SLURM_STEP_NUM_TASKS"],
        LOCAL_RANK=os.environ["SLURM_LOCALID"],
    )
    os.environ.setdefault("MASTER_ADDR", os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
    os.environ.setdefault("MASTER_PORT", str(20000 + int(os.environ["SLURM_JOB_ID"]) % 20000))


def ranks_of_environment() -> int:
    """How many ranks the launcher around this process started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def run_local_ranks(count: int, arguments: Sequence[str], device: str) -> int:
    """Start `count` ranks of `icpo train`, and return the exit status of them all.

    Raises RunFailed, naming the rank, when one fails: the others are ended within GRACE_SECONDS.
    """
    port = _free_port()
    ranks = [_start(rank, count, port, arguments, device) for rank in range(count)]

    def forward(number: int, frame: FrameType | None) -> None:
        for process in ranks:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        failed = _wait(ranks)
    finally:
        _end(ranks)
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed is None:
        return ranks[0].returncode
    if failed.status == EXIT_USER_ERROR:
        return EXIT_USER_ERROR
    raise RunFailed(f"{failed}; the other ranks were ended")


def exec_deepspeed(hostfile: str, arguments: Sequence[str]) -> None:
    """Become DeepSpeed's launcher, which starts this command on every host of the file."""
    if not Path(hostfile).is_file():
        raise UserError(f"--hostfile: {hostfile}: no such file")
    launcher = Path(sys.executable).with_name("deepspeed")
    command = [str(launcher), f"--hostfile={hostfile}", "--no_local_rank", "--module", "icpo_cli", "train", *arguments]
    os.execv(launcher, command)


def _start(rank: int, count: int, port: int, arguments: Sequence[str], device: str) -> subprocess.Popen[bytes]:
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[rank * len(cores) // count : (rank + 1) * len(cores) // count] or cores
    place = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    if device == "cpu":
        place["OMP_NUM_THREADS"] = str(len(mine))
    process = subprocess.Popen(
        [sys.executable, "-m", "icpo_cli", "train", *arguments],
        env={**os.environ, **place},
        # Ctrl-C reaches this process alone, which tells each rank once.
        start_new_session=True,
    )
    if device == "cpu":
        os.sched_setaffinity(process.pid, mine)
    return process


def _wait(ranks: Sequence[subprocess.Popen[bytes]]) -> Ended | None:
    """Until all have ended well, or one has not."""
    while True:
        statuses = [process.poll() for process in ranks]
        for rank, status in enumerate(statuses):
            if status not in (None, 0, *_STOPPED):
                assert status is not None
                return Ended(rank, status)
        if None not in statuses:
            return None
        time.sleep(0.2)


_STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGINT)
"""Exit statuses of a rank that was asked to stop, saved and left."""


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    alive = [process for process in ranks if process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in alive:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
