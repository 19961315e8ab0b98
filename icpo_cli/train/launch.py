"""Start the ranks of a run as local processes, or adopt the tasks of srun. train/hosts.py starts them over ssh."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from icpo_cli.errors import EXIT_USER_ERROR, RunFailed

GRACE_SECONDS = 10
"""Between SIGTERM and SIGKILL for the remaining ranks."""
STOPPED = (128 + signal.SIGTERM, 128 + signal.SIGINT)
"""Exit statuses of a rank that stopped on a signal and saved."""


def adopt_slurm() -> None:
    """Under srun, set the variables that torchrun sets, before CUDA is used. Without effect under torchrun."""
    slurm = os.environ
    if "WORLD_SIZE" in slurm or int(slurm.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return
    local_ranks = tasks_per_node(slurm["SLURM_STEP_TASKS_PER_NODE"])[int(slurm["SLURM_NODEID"])]
    # With --gpus-per-task=1 each task sees only its own GPU, as device 0.
    own_device = len(visible_gpus()) == 1
    slurm.update(
        RANK=slurm["SLURM_PROCID"],
        WORLD_SIZE=slurm["SLURM_STEP_NUM_TASKS"],
        LOCAL_RANK="0" if own_device else slurm["SLURM_LOCALID"],
        LOCAL_WORLD_SIZE=str(local_ranks),
    )
    cores = int(slurm.get("SLURM_CPUS_PER_TASK", len(os.sched_getaffinity(0)) // local_ranks))
    slurm.setdefault("OMP_NUM_THREADS", str(max(1, cores)))
    slurm.setdefault("MASTER_ADDR", first_node(slurm["SLURM_STEP_NODELIST"]))
    slurm.setdefault("MASTER_PORT", str(20000 + int(slurm["SLURM_JOB_ID"]) % 20000))


def tasks_per_node(text: str) -> list[int]:
    """The tasks of each node from SLURM's notation: 8(x2),4 is 8, 8, 4."""
    return [int(n) for n, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text) for _ in range(int(times or 1))]


def first_node(nodes: str) -> str:
    """The first node of SLURM's notation: gpu[07-09,12],login1 is gpu07. Rank 0 runs on it."""
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[([^],-]+)[^]]*\]", r"\1", first)


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use: CUDA_VISIBLE_DEVICES if set, else all that the driver lists."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    return listed.stdout.split() if listed.returncode == 0 else []


def ranks_of_environment() -> int:
    """The world size that the launcher of this process set; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_rank() -> bool:
    return os.environ.get("RANK", "0") == "0"


def run_local_ranks(
    count: int,
    arguments: Sequence[str],
    first: int = 0,
    group: Mapping[str, str] | None = None,
    tick: Callable[[], None] = lambda: None,
    command: str = "train",
) -> int:
    """Start `count` ranks of a command on this machine, wait for them, and return their exit status.

    `first`: the rank of the first; `group`: WORLD_SIZE, MASTER_ADDR and MASTER_PORT if there are ranks on other hosts.
    `tick` is called several times a second while they run. Raises RunFailed, naming the rank, when one fails; the other
    ranks are terminated within GRACE_SECONDS, also if `tick` raises.
    """
    group = group or {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    ranks: list[subprocess.Popen[bytes]] = []

    def forward(number: int) -> None:
        for process in ranks:
            process.send_signal(number)

    try:
        with forwarded_signals(forward):
            for local in range(count):
                ranks.append(_start(local, count, first + local, group, [command, *arguments]))
            failed = wait_for_all(ranks, 0.2, tick)
    finally:
        terminate(ranks)
    if failed is None:
        return ranks[0].returncode
    status = ranks[failed].returncode
    if status == EXIT_USER_ERROR:
        return EXIT_USER_ERROR
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
    raise RunFailed(f"rank {first + failed} {how}; the other ranks were terminated")


def _start(
    local: int, count: int, rank: int, group: Mapping[str, str], arguments: Sequence[str]
) -> subprocess.Popen[bytes]:
    cores = sorted(os.sched_getaffinity(0))
    own = cores[local * len(cores) // count : (local + 1) * len(cores) // count] or cores
    threads = min(len(own), int(os.environ.get("OMP_NUM_THREADS", len(own))))
    variables = {
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": str(threads),
        **group,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "icpo_cli", *arguments],
        env={**os.environ, **variables},
        # Ctrl-C reaches this process alone, which forwards it to each rank once.
        start_new_session=True,
    )
    if not visible_gpus():
        os.sched_setaffinity(process.pid, own)
    return process


@contextmanager
def forwarded_signals(forward: Callable[[int], None]) -> Iterator[None]:
    """Within the block, `forward` is called with each SIGTERM and SIGINT of this process."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda received, _: forward(received)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait_for_all(processes: Sequence[subprocess.Popen[bytes]], interval: float, tick: Callable[[], None]) -> int | None:
    """Wait until every process has ended, or one has failed; the index of the failed one, or None.

    `tick` is called at every `interval` seconds.
    """
    while True:
        statuses = [process.poll() for process in processes]
        for index, status in enumerate(statuses):
            if status not in (None, 0, *STOPPED):
                return index
        if None not in statuses:
            return None
        tick()
        time.sleep(interval)


def terminate(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM, and after GRACE_SECONDS SIGKILL, for those that still run."""
    alive = [process for process in processes if process.poll() is None]
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
