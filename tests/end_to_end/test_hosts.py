"""`icpo train --hostfile` over a real ssh, to two hosts on this machine: `scripts/hosts start` sets them up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file

from icpo_cli.runs.journal import Journal

ROOT = Path(__file__).parents[2]
STATE = Path("/var/lib/icpo-hosts")
LOOPBACK, NAMESPACES = ("127.0.0.1", "127.0.0.2"), ("10.77.0.1", "10.77.0.2")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not (STATE / "started").exists(), reason="no two hosts here; scripts/hosts start"),
]
SIZES = ("rollout.prompts_per_iteration=8", "learner.mini_batch_prompts=4", "train.iterations=2", "data.heldout=null")
ENDLESS = ("train.iterations=5000", "train.save_every=5000", "train.eval_every=5000")


@contextmanager
def started(folder: Path, hosts: tuple[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`icpo train` with one rank on each host, in `folder`."""
    file = folder.parent / "hosts"
    file.write_text("".join(f"{host} slots=1\n" for host in hosts))
    prefix = ["ip", "netns", "exec", "icpo-a"] if hosts == NAMESPACES else []
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "icpo_cli", "train", *arguments, "--hostfile", str(file)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{STATE / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **({"GLOO_SOCKET_IFNAME": "icpo0"} if prefix else {}),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
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


def test_two_hosts_train_what_two_local_ranks_do(lab_config: Path, folder: Path, icpo: Callable) -> None:
    """A value with commas and braces, and the judge's key, arrive as they are."""
    question = "data.heldout={source: reasoning_gym, task: basic_arithmetic, size: 4}"
    with started(folder, LOOPBACK, str(lab_config), *SIZES, question) as process:
        err = process.communicate()[1]
        assert process.returncode == 0, err
    local = icpo("train", str(lab_config), *SIZES, question, "--nproc", "2", "--json")
    assert local.status == 0, local.err
    ours = load_file(only_run(folder) / "checkpoints" / "last" / "model.safetensors")
    weights = load_file(Path(local.document["checkpoint"]) / "model.safetensors")
    assert all(weights[name].equal(ours[name]) for name in weights)


def test_a_signal_reaches_the_ranks_of_every_host_and_is_waited_for(lab_config: Path, folder: Path) -> None:
    with started(folder, LOOPBACK, str(lab_config), *SIZES, *ENDLESS) as process:
        wait_for_an_iteration(folder, process)
        process.send_signal(signal.SIGTERM)
        err = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM, err
    assert f"resume with: icpo train --resume {only_run(folder).name}" in err
    assert (only_run(folder) / "checkpoints" / "last").exists()


def test_a_host_without_the_shared_folder_is_named(lab_config: Path) -> None:
    folder = STATE / "unshared"
    with started(folder, NAMESPACES, str(lab_config), *SIZES) as process:
        err = process.communicate()[1]
    assert process.returncode == 2
    [line] = err.strip().splitlines()
    assert line.startswith(f"icpo: train.output_dir: {folder}/runs/") and "does not exist on" in line
    assert "(rank 1): all hosts need the same shared folder" in line


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
