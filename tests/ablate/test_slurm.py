"""Jobs through a real SLURM, if there is one: `scripts/slurm start` starts one on this machine."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from icpo_cli.ablate.launch import slurm
from icpo_cli.ablate.launch.slurm import SlurmLauncher, SlurmSettings
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import StudyDir
from tests.ablate.jobs import ENVIRONMENT, JOB, make_job, starts_of, steps_of, under_way, until

ITERATIONS = 20
SETTINGS = SlurmSettings(time_minutes=5, save_minutes=1)


def answers() -> bool:
    found = shutil.which("sbatch") and shutil.which("sinfo")
    return bool(found) and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not answers(), reason="no SLURM answers here; scripts/slurm start"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    monkeypatch.setenv("STANDIN_SECONDS", "0.5")
    monkeypatch.setattr(slurm, "QUEUE_SECONDS", 1.0)


def finish(launcher: SlurmLauncher) -> None:
    until(lambda: launcher.poll() is not None and launcher.finished, seconds=180)


def test_requeued_jobs_resume_from_their_checkpoints(tmp_path: Path) -> None:
    """One is requeued as by preemption, the other is told that its time is nearly up."""
    folders = [make_job(tmp_path / "study" / name, iterations=ITERATIONS) for name in ("requeued", "timed")]
    with SlurmLauncher(StudyDir(tmp_path / "study"), "test", SETTINGS, None, JOB) as launcher:
        launcher.begin(folders)
        until(lambda: all(launcher.poll() and under_way(folder, 2) for folder in folders))
        requeued, timed = (launcher.ids[folder] for folder in folders)
        subprocess.run(["scontrol", "requeue", requeued], check=True)
        subprocess.run(["scancel", "--signal=USR2", timed], check=True)
        finish(launcher)
        assert [standing.status for standing in launcher.poll().values()] == [Status.DONE, Status.DONE]
    for folder in folders:
        assert steps_of(folder) == list(range(1, ITERATIONS + 1))
        assert len(starts_of(folder)) == 2
        assert "--resume" in starts_of(folder)[1]["arguments"]


def test_jobs_stay_in_slurm_and_the_same_command_finds_them(tmp_path: Path) -> None:
    folders = [make_job(tmp_path / "study" / name, iterations=ITERATIONS) for name in ("a", "b")]
    with SlurmLauncher(StudyDir(tmp_path / "study"), "test", SETTINGS, None, JOB) as first:
        first.begin(folders)
        until(lambda: first.poll() is not None and under_way(folders[0]))
        said = first.stop(15)
        assert first.finished
        assert f"scancel {first.ids[folders[0]].split('_')[0]}" in said
    with SlurmLauncher(StudyDir(tmp_path / "study"), "test", SETTINGS, None, JOB) as second:
        second.begin(folders)
        assert second.ids == first.ids
        finish(second)
        assert [standing.status for standing in second.poll().values()] == [Status.DONE, Status.DONE]
    assert [len(starts_of(folder)) for folder in folders] == [1, 1]


def test_failed_and_cancelled_jobs_have_different_statuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "LOST_SECONDS", 3.0)
    failed = make_job(tmp_path / "study" / "failed", "fails")
    cancelled = make_job(tmp_path / "study" / "cancelled", iterations=1000)
    with SlurmLauncher(StudyDir(tmp_path / "study"), "test", SETTINGS, None, JOB) as launcher:
        launcher.begin([failed, cancelled])
        until(lambda: launcher.poll() is not None and under_way(cancelled))
        subprocess.run(["scancel", launcher.ids[cancelled]], check=True)
        finish(launcher)
        standings = launcher.poll()
    assert standings[failed].reason == "iteration 2: the loss was not finite; log: there"
    assert standings[cancelled].status is Status.STOPPED
    assert "left the queue before it was done" in standings[cancelled].reason
    last = steps_of(cancelled)[-1]
    time.sleep(1)
    assert steps_of(cancelled)[-1] == last
