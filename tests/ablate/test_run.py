"""A complete study with the stand-in for icpo: jobs that are done are skipped, the others are resumed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.ablate.jobs import ENVIRONMENT, HERE, kill, starts_of, steps_of, under_way, until
from tests.processes import alive

ITERATIONS = 24


def start(folder: Path, *arms: str, seconds: float = 0.0) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HERE / "study_process.py"), "study", str(ITERATIONS), *arms],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, "STANDIN_SECONDS": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[dict, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out), err


def job(folder: Path, arm: str) -> Path:
    [found] = [path.parent for path in folder.glob("study/*/seed-0/config.yaml") if path.parts[-3] == arm]
    return found


def exists(folder: Path, arm: str) -> bool:
    return any(path.parts[-4] == arm for path in folder.glob("study/*/seed-0/*/config.yaml"))


def run_id(folder: Path) -> str:
    return json.loads((folder / "study" / "study.json").read_text())["run_id"]


def test_the_same_command_resumes_an_interrupted_study(tmp_path: Path) -> None:
    """Stopped in order, then killed, then left to end: with a failed arm, which stops no other."""
    arms = ("grpo", "noise:fails", "icpo")
    process = start(tmp_path, *arms, seconds=0.2)
    until(lambda: exists(tmp_path, "icpo") and under_way(job(tmp_path, "icpo"), 2))
    process.send_signal(signal.SIGTERM)
    ended, said = finish(process)
    states = {"grpo": "done", "noise fails": "failed", "icpo": "stopped"}
    assert ended == {"states": states, "stopped_by": 15, "not_done": 2}
    assert "finish their iteration and save" in said
    assert "noise fails seed 0: failed" in said
    assert "the loss was not finite" in said
    first_run = run_id(tmp_path)

    process = start(tmp_path, *arms, seconds=0.2)
    steps = len(steps_of(job(tmp_path, "icpo")))
    until(lambda: under_way(job(tmp_path, "icpo"), steps + 2))
    kill(process)

    ended, _ = finish(start(tmp_path, *arms))
    assert ended == {"states": states | {"icpo": "done"}, "stopped_by": 0, "not_done": 1}
    assert run_id(tmp_path) == first_run
    assert (tmp_path / "study" / "table.md").is_file()
    starts = {arm: starts_of(job(tmp_path, arm)) for arm in ("grpo", "noise-fails", "icpo")}
    assert [len(each) for each in starts.values()] == [1, 3, 3]
    assert steps_of(job(tmp_path, "icpo")) == list(range(1, ITERATIONS + 1))
    assert not any(alive(each["pid"]) for each in starts["icpo"])


def test_the_probe_runs_first_and_selects_the_arms_data(tmp_path: Path) -> None:
    ended, said = finish(start(tmp_path, "probe", "grpo"))
    assert ended["states"] == {"grpo": "done"}
    assert said.index("probe seed 0: done") < said.index("16 questions selected by probe") < said.index("grpo seed 0")
    questions = (tmp_path / "study" / "coarse.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in questions] == [f"q{n}" for n in range(1, ITERATIONS + 1) if n % 3]


def test_two_commands_cannot_run_one_study(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    with (tmp_path / "study" / "study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(tmp_path, "grpo")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == "study: another icpo ablate is running this study\n"
