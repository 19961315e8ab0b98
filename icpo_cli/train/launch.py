"""Start the ranks of a run: as local processes, through DeepSpeed's launcher, or as tasks of srun."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from icpo_cli.errors import EXIT_USER_ERROR, RunFailed, UserError

GRACE_SECONDS = 10
"""Between SIGTERM and SIGKILL for the remaining ranks."""
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGINT)
"""Exit statuses of a rank that stopped on a signal and saved."""


def adopt_slurm() -> None:
    """Under srun, set the variables that torchrun sets. Without effect under torchrun."""
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
    """The world size that the launcher of this process set; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def run_local_ranks(count: int, arguments: Sequence[str], device: str) -> int:
    """Start `count` ranks of `icpo train` on this machine, wait for them, and return their exit status.

    Raises RunFailed, naming the rank, when one fails; the other ranks are terminated within GRACE_SECONDS.
    """
    port = _free_port()
    ranks = [_start(rank, count, port, arguments, device) for rank in range(count)]

    def forward(number: int, frame: FrameType | None) -> None:
        for process in ranks:
            process.send_signal(number)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        failed = _wait(ranks)
    finally:
        _terminate(ranks)
        for number, handler in previous.items():
            signal.signal(number, handler)
    if failed is None:
        return ranks[0].returncode
    status = ranks[failed].returncode
    if status == EXIT_USER_ERROR:
        return EXIT_USER_ERROR
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
    raise RunFailed(f"rank {failed} {how}; the other ranks were terminated")


def exec_deepspeed(hostfile: str, arguments: Sequence[str]) -> None:
    """Replace this process by DeepSpeed's launcher, which starts the command on every host of the hostfile."""
    if not Path(hostfile).is_file():
        raise UserError(f"--hostfile: {hostfile}: no such file")
    launcher = Path(sys.executable).with_name("deepspeed")
    command = [str(launcher), f"--hostfile={hostfile}", "--no_local_rank", "--module", "icpo_cli", "train", *arguments]
    os.execv(launcher, command)


def _start(rank: int, count: int, port: int, arguments: Sequence[str], device: str) -> subprocess.Popen[bytes]:
    cores = sorted(os.sched_getaffinity(0))
    own = cores[rank * len(cores) // count : (rank + 1) * len(cores) // count] or cores
    variables = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    if device == "cpu":
        variables["OMP_NUM_THREADS"] = str(len(own))
    process = subprocess.Popen(
        [sys.executable, "-m", "icpo_cli", "train", *arguments],
        env={**os.environ, **variables},
        # Ctrl-C reaches this process alone, which forwards it to each rank once.
        start_new_session=True,
    )
    if device == "cpu":
        os.sched_setaffinity(process.pid, own)
    return process


def _wait(ranks: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until every rank has ended, or one has failed; the failed rank, or None."""
    while True:
        statuses = [process.poll() for process in ranks]
        for rank, status in enumerate(statuses):
            if status not in (None, 0, *STOPPED):
                return rank
        if None not in statuses:
            return None
        time.sleep(0.2)


def _terminate(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
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
