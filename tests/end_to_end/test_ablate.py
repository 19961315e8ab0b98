"""`icpo ablate` with real engines: a study of two arms is killed midway; the same command completes it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from icpo_cli.runs.journal import Journal

pytestmark = pytest.mark.engine
ITERATIONS = 6
"""Enough that a run interrupted after its second or third iteration has iterations left."""

STUDY = {
    "name": "pair",
    "about": "two arms",
    "base": "grpo",
    "arms": {"grpo": {"method": "grpo"}, "icpo": {"method": "icpo"}},
}


def answers() -> bool:
    try:
        return subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def command(tmp_path: Path, lab_config: Path) -> list[str]:
    study = tmp_path / "pair.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    return ["ablate", str(study), str(lab_config), f"train.iterations={ITERATIONS}", "--seeds", "0", "--json"]


def journals(folder: Path) -> dict[str, list[int]]:
    """{arm: steps in the journal of its only run}."""
    found = {}
    for path in folder.glob("studies/*/*/seed-0/*/journal.jsonl"):
        assert path.parts[-4] not in found, "two runs of one job"
        found[path.parts[-4]] = [entry.step for entry in Journal(path).entries()]
    return found


def until(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.1)


def of_this_study(folder: Path) -> Iterator[psutil.Process]:
    """Processes whose working directory is the folder."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def check_complete(folder: Path, document: dict) -> None:
    """Check that both arms ran every iteration once, under one MLflow run, with equal prompts, seeds and noise."""
    from mlflow.tracking import MlflowClient

    assert [job["state"] for job in document["jobs"]] == ["done", "done"]
    assert document["input_differences"] == []
    steps = {arm: sorted(set(steps)) for arm, steps in journals(folder).items()}
    every = list(range(ITERATIONS + 1))
    assert steps == {"grpo": every, "icpo": every}
    hashes = [json.loads(path.read_text()) for path in folder.glob("studies/*/*/seed-0/*/input_parity.json")]
    assert len(hashes) == 2
    assert hashes[0] == hashes[1]
    store = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    study = store.get_run(document["run_id"])
    assert study.info.status == "FINISHED"
    for job in document["jobs"]:
        run = store.get_run(job["run_id"])
        assert run.data.tags["mlflow.parentRunId"] == document["run_id"]
        assert run.info.status == "FINISHED"
    assert "table.md" in {item.path for item in store.list_artifacts(document["run_id"])}


def test_a_killed_study_is_completed_by_the_same_command(command: list[str], tmp_path: Path, icpo: Callable) -> None:
    process = subprocess.Popen([sys.executable, "-m", "icpo_cli", *command], cwd=tmp_path, stdout=subprocess.PIPE)
    until(lambda: 2 in journals(tmp_path).get("icpo", []), process)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while left := list(of_this_study(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    ended = icpo(*command)
    assert ended.status == 0, ended.err
    check_complete(tmp_path, ended.document)


@pytest.mark.skipif(not answers(), reason="no SLURM answers here; scripts/slurm start")
def test_a_study_through_slurm_with_a_job_that_is_killed_and_requeued(command: list[str], tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    slurm = ["--launcher", "slurm", "--slurm", "time_minutes=20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "icpo_cli", *command, *slurm],
        cwd=tmp_path,
        # Two jobs with one core each: one thread each.
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: 2 in journals(tmp_path).get("icpo", []), process)
    [ids] = [json.loads(path.read_text()) for path in tmp_path.glob("studies/*/slurm/jobs.json")]
    [job] = [job for folder, job in ids.items() if "/icpo/" in folder]
    subprocess.run(["scontrol", "requeue", job], check=True)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    check_complete(tmp_path, json.loads(out))
    [log] = tmp_path.glob("studies/*/icpo/seed-0/job.log")
    assert "resume with" in log.read_text()
