"""The variables that srun sets, as ranks use them, and hostfiles."""

import os
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.train.hosts import read_hostfile
from icpo_cli.train.launch import adopt_slurm, first_node

SET_BY_US = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")
SRUN = {
    "SLURM_JOB_ID": "40007",
    "SLURM_STEP_NUM_TASKS": "20",
    "SLURM_STEP_NODELIST": "gpu[07-08,12]",
    "SLURM_STEP_TASKS_PER_NODE": "8(x2),4",
    "SLURM_PROCID": "18",
    "SLURM_NODEID": "2",
    "SLURM_LOCALID": "2",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
    "SLURM_CPUS_PER_TASK": "6",
}
"""Rank 18 of 20, on the third of three nodes; srun was started on a login node."""


def adopted(monkeypatch: pytest.MonkeyPatch, **more: str) -> dict[str, str]:
    for name in SET_BY_US:
        monkeypatch.setenv(name, "")  # restored after the test, whatever adopt_slurm sets
        monkeypatch.delenv(name)
    for name, value in {**SRUN, "CUDA_VISIBLE_DEVICES": "0,1,2,3", **more}.items():
        monkeypatch.setenv(name, value)
    adopt_slurm()
    return {name: os.environ[name] for name in SET_BY_US if name in os.environ}


def test_srun_is_adopted_as_torchrun_would_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 runs on the step's first node, which is not the node where srun was started."""
    assert adopted(monkeypatch) == {
        "RANK": "18",
        "WORLD_SIZE": "20",
        "LOCAL_RANK": "2",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": "20007",
        "OMP_NUM_THREADS": "6",
    }


def test_a_task_that_sees_one_gpu_uses_device_0(monkeypatch: pytest.MonkeyPatch) -> None:
    found = adopted(monkeypatch, CUDA_VISIBLE_DEVICES="2")
    assert found["LOCAL_RANK"] == "0" and found["LOCAL_WORLD_SIZE"] == "4"


def test_under_torchrun_nothing_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adopted(monkeypatch, WORLD_SIZE="3") == {"WORLD_SIZE": "3"}


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node[001-004]", "node001"),
        ("a[1,3],b7", "a1"),
        ("login,gpu[1-2]", "login"),
        ("r[1-2]n[05-06]-ib", "r1n05-ib"),
        ("10.0.0.1,10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


def test_a_hostfile_names_the_ranks_of_each_host(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# two nodes\nuser@gpu1 slots=8\n\n10.0.0.2 slots=4  # half\n")
    assert read_hostfile(file) == {"user@gpu1": 8, "10.0.0.2": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpu1\n", "hosts:1: 'gpu1' is not HOST slots=N"),
        ("gpu1 slots=8\ngpu1 slots=8\n", "hosts:2: 'gpu1 slots=8' is not HOST slots=N, each host once"),
        ("gpu1 slots=0\n", "hosts:1"),
        ("-oProxyCommand=x slots=1\n", "hosts:1"),
        ("# none\n", "no hosts"),
    ],
)
def test_a_wrong_hostfile_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(UserError, match=says.replace("'", ".")):
        read_hostfile(tmp_path / "hosts")
