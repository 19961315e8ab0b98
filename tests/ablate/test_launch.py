"""Parallel jobs on this machine: separate cores, independent failures, no process left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from icpo_cli.ablate.launch.local import LocalLauncher, Share, shares
from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JobStatus
from tests.ablate.jobs import (
    ENVIRONMENT,
    HERE,
    JOB,
    kill,
    make_job,
    starts_of,
    steps_of,
    under_way,
    until,
)
from tests.processes import alive

CORES = sorted(os.sched_getaffinity(0))
NO_GPU = (Share(tuple(CORES), ()),)


@pytest.fixture(autouse=True)
def standin_finds_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def run_all(launcher: LocalLauncher, folders: list[Path]) -> Mapping[Path, JobStatus]:
    with launcher:
        launcher.begin(folders)
        until(lambda: all(standing.status.ended for standing in launcher.poll().values()))
        return launcher.poll()


def start_coordinator(at_once: int, *folders: Path, seconds: float = 0.0) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HERE / "coordinator.py"), str(at_once), *map(str, folders)],
        env={**os.environ, "STANDIN_SECONDS": str(seconds)},
    )


def test_a_failed_job_does_not_stop_the_others(tmp_path: Path) -> None:
    names = {"a": "fine", "b": "fails", "c": "fine"}
    folders = [make_job(tmp_path / place, name) for place, name in names.items()]
    a, b, c = (run_all(LocalLauncher(NO_GPU, JOB), folders)[folder] for folder in folders)
    assert (a.status, c.status) == (Status.DONE, Status.DONE)
    assert b == JobStatus(Status.FAILED, "iteration 2: the loss was not finite; log: there")


def test_one_share_runs_one_job_at_a_time(tmp_path: Path) -> None:
    folders = [make_job(tmp_path / name) for name in "abc"]
    with LocalLauncher(NO_GPU, JOB) as launcher:
        launcher.begin(folders)
        while not all(standing.status.ended for standing in launcher.poll().values()):
            assert [standing.status for standing in launcher.poll().values()].count(Status.RUNNING) <= 1
            time.sleep(0.05)


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_parallel_jobs_have_separate_cores(tmp_path: Path) -> None:
    folders = [make_job(tmp_path / name, iterations=8) for name in "ab"]
    run_all(LocalLauncher(shares(2, uses_gpus=False), JOB), folders)
    (a,), (b,) = (starts_of(folder) for folder in folders)
    assert sorted(a["cores"] + b["cores"]) == CORES
    assert [a["threads"], b["threads"]] == [str(len(a["cores"])), str(len(b["cores"]))]


def test_gpus_are_divided_and_each_is_a_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    first, second = shares(2, uses_gpus=True)
    assert (first.gpus, second.gpus) == (("3", "5"), ("6", "7"))
    assert (first.cores, second.cores) == ((0, 1, 2, 3), (4, 5, 6, 7))
    folder = make_job(tmp_path / "job")
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    run_all(LocalLauncher([Share(tuple(CORES), first.gpus)], JOB), [folder])
    [start] = starts_of(folder)
    assert start["gpus"] == "3,5"
    assert start["arguments"][2:4] == ["--nproc", "2"]


@pytest.mark.parametrize(
    ("jobs", "gpus", "message"),
    [
        (0, "", "--jobs: 0 jobs at once; at least 1"),
        (len(CORES) + 1, "", f"--jobs: {len(CORES) + 1} jobs at once on {len(CORES)} cores; at most {len(CORES)}"),
        (2, "0", "--jobs: 2 jobs at once on 1 GPUs; at most 1"),
    ],
)
def test_more_jobs_than_the_machine_has_parts(
    jobs: int, gpus: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    with pytest.raises(UserError, match=message):
        shares(jobs, uses_gpus=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_coordinator_leaves_saved_jobs_and_no_process(number: int, tmp_path: Path) -> None:
    running, waiting = make_job(tmp_path / "a", iterations=30), make_job(tmp_path / "b")
    process = start_coordinator(1, running, waiting, seconds=0.1)
    until(lambda: under_way(running))
    kill(process, number)
    assert process.returncode == 128 + number
    assert not alive(starts_of(running)[0]["pid"])
    assert not starts_of(waiting)
    assert start_coordinator(1, running, waiting).wait() == 0
    assert steps_of(running) == list(range(1, 31))


def test_the_jobs_of_a_killed_coordinator_end_and_the_same_command_resumes_them(tmp_path: Path) -> None:
    folders = [make_job(tmp_path / name, iterations=30) for name in "abc"[: len(CORES) + 1]]
    process = start_coordinator(len(CORES), *folders, seconds=0.3)
    until(lambda: under_way(folders[0]))
    kill(process)
    again = start_coordinator(len(CORES), *folders)  # while those of the first are saving
    assert again.wait() == 0
    assert not any(alive(start["pid"]) for folder in folders for start in starts_of(folder))
    for folder in folders:
        assert steps_of(folder) == list(range(1, 31))
        assert (folder / "outcome.json").exists()


def test_nothing_outlives_a_coordinator_that_is_killed_for_good(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "a", iterations=1000)
    process = start_coordinator(1, folder, seconds=0.1)
    until(lambda: under_way(folder))
    kill(process)
    until(lambda: not alive(starts_of(folder)[0]["pid"]))


def test_a_job_that_will_not_stop_ends_with_the_second_signal(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "a", "deaf", iterations=1000)
    process = start_coordinator(1, folder, seconds=0.1)
    until(lambda: under_way(folder))
    process.send_signal(signal.SIGINT)
    steps = len(steps_of(folder))
    until(lambda: under_way(folder, steps + 3))
    assert process.poll() is None
    kill(process, signal.SIGINT)
    until(lambda: not alive(starts_of(folder)[0]["pid"]))


def test_a_job_process_that_is_killed_is_a_failed_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_SECONDS", "0.1")
    folder = make_job(tmp_path / "a", iterations=1000)
    with LocalLauncher(NO_GPU, JOB) as launcher:
        launcher.begin([folder])
        launcher.poll()
        until(lambda: under_way(folder))
        [process] = [each for each in psutil.Process().children() if str(folder) in each.cmdline()]
        process.kill()
        until(lambda: launcher.poll()[folder].status.ended)
        standing = launcher.poll()[folder]
    assert standing.status is Status.FAILED
    assert standing.reason == f"the job's process ended with signal SIGKILL; log: {folder / 'job.log'}"
    assert (folder / "failure.txt").read_text().strip() == standing.reason
