"""Ranks on several hosts, through each way of starting them; the hosts are this machine.

`scripts/hosts start` sets up two hosts with sshd, `scripts/slurm start` a SLURM. Without them tests are skipped.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file

from icpo_cli.runs.journal import Journal
from tests.ablate.test_slurm import answers
from tests.fork_server import ForkServer

ROOT = Path(__file__).parents[2]
STATE = Path("/var/lib/icpo-hosts")
LOOPBACK, NAMESPACES = ("127.0.0.1", "127.0.0.2"), ("10.77.0.1", "10.77.0.2")
pytestmark = pytest.mark.engine
needs_hosts = pytest.mark.skipif(not (STATE / "started").exists(), reason="no two hosts here; scripts/hosts start")
needs_slurm = pytest.mark.skipif(not answers(), reason="no SLURM answers here; scripts/slurm start")
TRAIN = [sys.executable, "-m", "icpo_cli", "train"]
SIZES = ("rollout.prompts_per_iteration=8", "learner.mini_batch_prompts=4", "train.iterations=2", "data.heldout=null")
ENDLESS = ("train.iterations=5000", "train.save_every=5000", "train.eval_every=5000")


def start(command: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "PATH": f"{STATE / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)


def by_hostfile(
    folder: Path, arguments: Sequence[str], hosts: tuple[str, str] = LOOPBACK
) -> list[subprocess.Popen[str]]:
    file = folder.parent / "hosts"
    file.write_text("".join(f"{host} slots=1\n" for host in hosts))
    prefix = ["ip", "netns", "exec", "icpo-a"] if hosts == NAMESPACES else []
    variables = {"GLOO_SOCKET_IFNAME": "icpo0"} if prefix else {}
    return [start([*prefix, *TRAIN, *arguments, "--hostfile", str(file)], folder, **variables)]


@contextmanager
def started(folder: Path, hosts: tuple[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`icpo train --hostfile` with one rank on each host, in `folder`."""
    [process] = by_hostfile(folder, arguments, hosts)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def only_run(folder: Path) -> Path:
    [run] = (folder / "runs").iterdir()
    return run


def wait_for_an_iteration(folder: Path, process: subprocess.Popen[str]) -> None:
    while not any(Journal(file).entries() for file in folder.glob("runs/*/journal.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the run, whose parent is free for other files."""
    path = tmp_path / "it's {shared}"
    path.mkdir()
    return path


def by_srun(folder: Path, arguments: Sequence[str]) -> list[subprocess.Popen[str]]:
    options = ["-n", "2", "--kill-on-bad-exit=1", f"--job-name={folder.parent.name}"]
    return [start(["srun", *options, *TRAIN, *arguments], folder)]


def by_torchrun(folder: Path, arguments: Sequence[str]) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    agent += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    return [start([*agent, f"--node-rank={node}", "-m", *TRAIN[2:], *arguments], folder) for node in (0, 1)]


@pytest.fixture(scope="module")
def local(lab_config: Path, tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer) -> Path:
    """The folder in which two local ranks trained."""
    folder = tmp_path_factory.mktemp("local")
    done = fork_server.run("icpo_cli", ["train", str(lab_config), *SIZES, "--nproc", "2"], folder)
    assert done.status == 0, done.err
    return folder


@pytest.mark.parametrize(
    "way", [pytest.param(by_hostfile, marks=needs_hosts), pytest.param(by_srun, marks=needs_slurm), by_torchrun]
)
def test_each_way_trains_what_two_local_ranks_do(way: Callable, lab_config: Path, folder: Path, local: Path) -> None:
    for process in way(folder, [str(lab_config), *SIZES]):
        err = process.communicate()[1]
        assert process.returncode == 0, err
    weights, ours = (
        load_file(only_run(each) / "checkpoints" / "last" / "model.safetensors") for each in (local, folder)
    )
    assert all(weights[name].equal(ours[name]) for name in weights)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a folder")
def test_without_a_shared_folder_the_run_ends_in_one_line(lab_config: Path, folder: Path) -> None:
    """Rank 1 sees another folder at the same path."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    runs = folder / "runs"
    runs.mkdir()
    command = [*TRAIN, str(lab_config), *SIZES]
    elsewhere = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(runs), *command]
    ranks = [
        start(prefixed, folder, RANK=rank, LOCAL_RANK=rank, **group)
        for rank, prefixed in zip("01", (command, elsewhere), strict=True)
    ]
    errors = [process.communicate()[1] for process in ranks]
    assert [process.returncode for process in ranks] == [2, 2], errors
    assert errors[1] == ""
    [line] = errors[0].strip().splitlines()
    assert line.startswith(f"icpo: train.output_dir: {runs}/") and "does not exist on" in line
    assert "(rank 1): all hosts need the same shared folder" in line


@pytest.mark.parametrize(
    "way", [pytest.param(by_hostfile, marks=needs_hosts), pytest.param(by_srun, marks=needs_slurm)]
)
def test_a_signal_reaches_the_ranks_of_every_host_and_is_waited_for(
    way: Callable, lab_config: Path, folder: Path
) -> None:
    [process] = way(folder, [str(lab_config), *SIZES, *ENDLESS])
    wait_for_an_iteration(folder, process)
    if way == by_srun:  # as sbatch --signal does; a SIGTERM to srun itself kills the ranks after SLURM's KillWait
        subprocess.run(["scancel", "--signal=TERM", f"--name={folder.parent.name}"], check=True)
    else:
        process.send_signal(signal.SIGTERM)
    err = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM, err
    assert f"resume with: icpo train --resume {only_run(folder).name}" in err
    assert "Force Terminated" not in err
    assert (only_run(folder) / "checkpoints" / "last").exists()


@needs_hosts
def test_a_host_without_the_shared_folder_is_named(lab_config: Path) -> None:
    folder = STATE / "unshared"
    with started(folder, NAMESPACES, str(lab_config), *SIZES) as process:
        err = process.communicate()[1]
    assert process.returncode == 2
    [line] = err.strip().splitlines()
    assert line.startswith(f"icpo: train.output_dir: {folder}/runs/") and "does not exist on" in line
    assert "(rank 1): all hosts need the same shared folder" in line


@needs_hosts
def test_a_lost_host_ends_the_run_within_a_minute(lab_config: Path, folder: Path) -> None:
    with started(folder, NAMESPACES, str(lab_config), *SIZES, *ENDLESS) as process:
        wait_for_an_iteration(folder, process)
        subprocess.run([ROOT / "scripts" / "hosts", "cut"], check=True)
        try:
            err = process.communicate(timeout=60)[1]
        finally:
            subprocess.run([ROOT / "scripts" / "hosts", "mend"], check=True)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("icpo: host 10.77.0.2: no connection, or it was lost")
