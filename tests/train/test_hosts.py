"""Ranks on hosts, through an `ssh` that runs the command here with an empty environment, as a login shell would."""

import json
import os
from pathlib import Path

import pytest

from icpo_cli.errors import RunFailed
from icpo_cli.train.hosts import run_on_hosts

SSH = """#!/bin/sh
while [ $# -gt 2 ]; do shift; done
[ "$1" = unreachable ] && exit 255
exec env -i HOME="$HOME" PATH=/usr/bin:/bin sh -c "$2"
"""
SEEN = """
import json, os
if "RANK" in os.environ:
    names = "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS", "ICPO_JUDGE_KEY"
    print(json.dumps({"seen": [os.environ[name] for name in names]}), flush=True)
"""
"""Code that every Python process runs at its start: a rank prints variables."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a name that a shell would not leave as it is."""
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    folder = tmp_path / "it's {a,b} $HOME"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder


def test_arguments_environment_and_threads_arrive_as_they_are(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'a "secret" of $HOME'
    monkeypatch.setenv("ICPO_JUDGE_KEY", secret)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
    (folder / "sitecustomize.py").write_text(SEEN)
    arguments = ["data.train.params={min_terms: 2, max_terms: 5}", "--dry-run", "--json"]
    assert run_on_hosts({"me@one": 1, "two": 2}, arguments) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    ranks = sorted(line["seen"] for line in lines if "seen" in line)
    cores = len(os.sched_getaffinity(0))
    threads = [cores, cores // 2 or 1, cores - cores // 2]
    expected = zip("012", "001", threads, strict=True)
    assert ranks == [[rank, local, "3", "one", str(count), secret] for rank, local, count in expected]
    plans = [line["config"]["data"]["train"]["params"] for line in lines if "config" in line]
    assert [(plan["min_terms"], plan["max_terms"]) for plan in plans] == [(2, 5)] * 3


def test_a_host_that_cannot_be_reached_is_named(folder: Path) -> None:
    with pytest.raises(RunFailed, match="host unreachable: no connection, or it was lost"):
        run_on_hosts({"one": 1, "unreachable": 1}, ["--dry-run"])


def test_a_users_mistake_keeps_its_status(folder: Path) -> None:
    assert run_on_hosts({"one": 1, "two": 1}, ["nothing.yaml"]) == 2
