"""A complete study with the stand-in for icpo: jobs that are done are skipped, the others are resumed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from tests.ablate.jobs import ENVIRONMENT, HERE, kill, starts_of, steps_of, under_way, until
from tests.ablate.study_process import run
from tests.processes import alive

ITERATIONS = 24


def start(folder: Path, *arms: str) -> subprocess.Popen:
    """The study in a process of its own, in which the iterations of the arm icpo take time."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "study_process.py"), "study", str(ITERATIONS), *arms],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, "STANDIN_SECONDS": "0.2", "STANDIN_SLOW": "icpo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def study_folder(store_here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a store; the processes of jobs find the tests."""
    monkeypatch.chdir(store_here.parent)
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    return store_here.parent


def job(folder: Path, arm: str) -> Path:
    [found] = [path.parent for path in folder.glob("study/*/seed-0/config.yaml") if path.parts[-3] == arm]
    return found


def exists(folder: Path, arm: str) -> bool:
    return any(path.parts[-4] == arm for path in folder.glob("study/*/seed-0/*/config.yaml"))


def run_id(folder: Path) -> str:
    return json.loads((folder / "study" / "study.json").read_text())["run_id"]


def test_the_same_command_resumes_an_interrupted_study(study_folder: Path) -> None:
    """Stopped in order, then killed, then left to end: with a failed arm, which stops no other."""
    arms = ("grpo", "noise:fails", "icpo")
    process = start(study_folder, *arms)
    until(lambda: exists(study_folder, "icpo") and under_way(job(study_folder, "icpo"), 2))
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=120)
    states = {"grpo": "done", "noise fails": "failed", "icpo": "stopped"}
    assert json.loads(out) == {"states": states, "stopped_by": 15, "not_done": 2}
    assert "finish their iteration and save" in said
    assert "noise fails seed 0: failed" in said
    assert "the loss was not finite" in said
    first_run = run_id(study_folder)

    process = start(study_folder, *arms)
    steps = len(steps_of(job(study_folder, "icpo")))
    until(lambda: under_way(job(study_folder, "icpo"), steps + 2))
    kill(process)

    ended = run(Path("study"), ITERATIONS, *arms)
    assert ended == {"states": states | {"icpo": "done"}, "stopped_by": 0, "not_done": 1}
    assert run_id(study_folder) == first_run
    assert (study_folder / "study" / "table.md").is_file()
    starts = {arm: starts_of(job(study_folder, arm)) for arm in ("grpo", "noise-fails", "icpo")}
    assert [len(each) for each in starts.values()] == [1, 3, 3]
    assert steps_of(job(study_folder, "icpo")) == list(range(1, ITERATIONS + 1))
    assert not any(alive(each["pid"]) for each in starts["icpo"])


def test_the_probe_runs_first_and_selects_the_arms_data(study_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(Path("study"), ITERATIONS, "probe", "grpo")
    assert ended["states"] == {"grpo": "done"}
    said = capsys.readouterr().err
    assert said.index("probe seed 0: done") < said.index("16 questions selected by probe") < said.index("grpo seed 0")
    questions = (study_folder / "study" / "coarse.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in questions] == [f"q{n}" for n in range(1, ITERATIONS + 1) if n % 3]


def test_two_commands_cannot_run_one_study(study_folder: Path) -> None:
    (study_folder / "study").mkdir()
    with (study_folder / "study" / "study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"^study: another icpo ablate is running this study$"):
            run(Path("study"), ITERATIONS, "grpo")
