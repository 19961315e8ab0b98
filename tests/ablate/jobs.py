"""Helpers for the tests of jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
JOB = (sys.executable, str(HERE / "standin_job.py"))
ENVIRONMENT = {"PYTHONPATH": str(HERE.parents[1])}


def make_job(folder: Path, name: str = "fine", iterations: int = 4) -> Path:
    folder.mkdir(parents=True)
    config = {"name": name, "train": {"iterations": iterations, "output_dir": str(folder)}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def start_job(folder: Path, *options: str, seconds: float = 0.0) -> subprocess.Popen:
    environment = {**os.environ, **ENVIRONMENT, "STANDIN_SECONDS": str(seconds)}
    return subprocess.Popen([*JOB, str(folder), *options], env=environment, stderr=subprocess.PIPE, text=True)


def run_job(folder: Path, *options: str) -> int:
    with start_job(folder, *options) as process:
        process.communicate()
    return process.returncode


def runs_of(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/config.yaml"))


def steps_of(folder: Path) -> list[int]:
    """Entries of the only run's journal, without half-written lines."""
    [run] = runs_of(folder)
    path = run / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("\n")]


def starts_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for run in runs_of(folder) for line in (run / "starts.jsonl").read_text().splitlines()]


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until the condition holds; the time limit only ends a test that would hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.05)


def under_way(folder: Path, step: int = 1) -> bool:
    return len(runs_of(folder)) == 1 and len(steps_of(folder)) >= step


def kill(process: subprocess.Popen, number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait()
