"""Progress of a job, from a journal that grows, is truncated by a kill, and is rewritten by a resume."""

import json
from pathlib import Path

import pytest

from icpo_cli.ablate.result import HELDOUT, JobReader, JobRecord
from icpo_cli.ablate.study import Job
from icpo_cli.config.schema import Config, TrainConfig


def reader_of(folder: Path) -> JobReader:
    return JobReader(Job("grpo", 0, Config(train=TrainConfig(iterations=10)), folder))


def reward(record: JobRecord) -> float | None:
    return record.newest("reward/verif")


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
    record = reader_of(tmp_path).read()
    assert (record.iterations, record.metrics, record.seconds, record.seconds_left) == (0, {}, None, None)


def test_new_entries_are_read(journal: Path) -> None:
    reader = reader_of(journal.parents[1])
    journal.write_text(line(0, heldout=40.0) + line(1, reward=0.5, entropy=2.0, omega=0.1, seconds=2.0))
    record = reader.read()
    assert (record.iterations, record.accuracy(HELDOUT), record.seconds) == (1, [(0, 40.0)], 2.0)
    assert [record.newest(name) for name in ("reward/verif", "entropy", "omega")] == [0.5, 2.0, 0.1]
    with journal.open("a") as file:
        file.write(line(2, reward=0.6, entropy=1.5, omega=0.2, seconds=4.0) + line(2, heldout=45.0))
    record = reader.read()
    assert (record.iterations, record.accuracy(HELDOUT), record.seconds) == (2, [(0, 40.0), (2, 45.0)], 3.0)
    assert [record.newest(name) for name in ("reward/verif", "entropy", "omega")] == [0.6, 1.5, 0.2]
    assert record.seconds_left == 24.0  # 8 of 10 iterations


def test_a_half_written_entry_is_read_when_it_is_complete(journal: Path) -> None:
    reader = reader_of(journal.parents[1])
    second = line(2, reward=0.7)
    journal.write_text(line(1, reward=0.5) + second[:10])
    assert reward(reader.read()) == 0.5
    with journal.open("a") as file:
        file.write(second[10:])
    assert (reader.read().iterations, reward(reader.read())) == (2, 0.7)


def test_a_rewritten_journal_is_read_from_the_start(journal: Path) -> None:
    reader = reader_of(journal.parents[1])
    journal.write_text(line(1, reward=0.5) + line(2, reward=0.6) + line(3, reward=0.7))
    assert reader.read().iterations == 3
    tmp = journal.with_suffix(".tmp")
    tmp.write_text(line(1, reward=0.5))
    tmp.replace(journal)
    assert (reader.read().iterations, reward(reader.read())) == (1, 0.5)
