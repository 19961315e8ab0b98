"""Progress of a job, from a journal that grows, is truncated by a kill, and is rewritten by a resume."""

import json
from pathlib import Path

import pytest

from icpo_cli.ablate.collect import JobView, Progress, ProgressReader
from icpo_cli.ablate.study import Job
from icpo_cli.config.schema import Config, TrainConfig
from icpo_cli.runs.run_dir import JobDir, Status


def line(step: int, **metrics: float) -> str:
    names = {"reward": "reward/verif", "heldout": "eval/heldout/avg_at_k", "seconds": "seconds/iteration"}
    named = {names.get(name, name): value for name, value in metrics.items()}
    return json.dumps({"step": step, "time_ms": 0, "metrics": named}) + "\n"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").touch()
    return run / "journal.jsonl"


def test_no_value_is_known_before_the_run_begins(tmp_path: Path) -> None:
    assert ProgressReader(JobDir(tmp_path)).read() == Progress()


def test_new_entries_are_read(journal: Path) -> None:
    reader = ProgressReader(JobDir(journal.parents[1]))
    journal.write_text(line(0, heldout=40.0) + line(1, reward=0.5, entropy=2.0, omega=0.1, seconds=2.0))
    assert reader.read() == Progress(1, 0, 40.0, 0.5, 2.0, 0.1, 2.0)
    with journal.open("a") as file:
        file.write(line(2, reward=0.6, entropy=1.5, omega=0.2, seconds=4.0) + line(2, heldout=45.0))
    assert reader.read() == Progress(2, 2, 45.0, 0.6, 1.5, 0.2, 3.0)


def test_a_half_written_entry_is_read_when_it_is_complete(journal: Path) -> None:
    reader = ProgressReader(JobDir(journal.parents[1]))
    second = line(2, reward=0.7)
    journal.write_text(line(1, reward=0.5) + second[:10])
    assert reader.read().reward == 0.5
    with journal.open("a") as file:
        file.write(second[10:])
    assert (reader.read().iteration, reader.read().reward) == (2, 0.7)


def test_a_rewritten_journal_is_read_from_the_start(journal: Path) -> None:
    reader = ProgressReader(JobDir(journal.parents[1]))
    journal.write_text(line(1, reward=0.5) + line(2, reward=0.6) + line(3, reward=0.7))
    assert reader.read().iteration == 3
    tmp = journal.with_suffix(".tmp")
    tmp.write_text(line(1, reward=0.5))
    tmp.replace(journal)
    assert (reader.read().iteration, reader.read().reward) == (1, 0.5)


def test_time_left_is_that_of_the_remaining_iterations() -> None:
    config = Config(train=TrainConfig(iterations=10))
    job = Job("grpo", 0, config, Path("job"))
    assert JobView(job, Status.RUNNING, "", Progress(iteration=4, seconds=2.5)).seconds_left == 15.0
    assert JobView(job, Status.RUNNING, "", Progress()).seconds_left is None
