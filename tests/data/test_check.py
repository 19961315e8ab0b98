from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.check import WITHHELD, check_data, ngrams, normalised, overlaps, repeats
from icpo_cli.errors import UserError
from icpo_cli.records import Gold, Question

LONG = "A train leaves the station at noon and travels north at sixty miles an hour for two hours."


def questions(*texts: str) -> list[Question]:
    return [Question(f"q{number}", text, Gold("1")) for number, text in enumerate(texts)]


def no_problem(golds: Sequence[Gold]) -> list[str | None]:
    return [None for _ in golds]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert normalised("If $x_1 = 2$, Find:\n(a) X!") == ["if", "x_1", "2", "find", "a", "x"]


def test_ngrams_are_every_run_of_n_words() -> None:
    assert list(ngrams("a b c d", 3)) == ["a b c", "b c d"]
    assert list(ngrams("a b", 3)) == ["a b"]  # shorter ones are a run themselves


def test_a_shared_run_is_found_with_both_ids_and_its_words() -> None:
    train = questions("Nothing of the kind.", f"Listen: {LONG.upper()} How far does it get?")
    [pair] = overlaps(train, {"math500": questions("Other words.", f"{LONG} Where is it?")}, 10)
    assert (pair.train_id, pair.bench, pair.bench_id) == ("q1", "math500", "q1")
    assert pair.ngram == "a train leaves the station at noon and travels north"
    assert pair.shared == 18 - 10 + 1


def test_nine_words_are_not_ten() -> None:
    nine = " ".join(LONG.split()[:9])
    train, bench = questions(f"{nine} x y z"), {"aime24": questions(f"{nine} p q r")}
    assert overlaps(train, bench, 10) == []
    assert len(overlaps(train, bench, 9)) == 1


def test_a_run_that_repeats_counts_once() -> None:
    [pair] = overlaps(questions("a b c a b c"), {"x": questions("a b c")}, 3)
    assert pair.shared == 1


def test_short_questions_overlap_only_when_they_are_equal() -> None:
    bench = {"x": questions("What is 2 + 2?")}
    assert len(overlaps(questions("what is 2 2"), bench, 10)) == 1
    assert overlaps(questions("what is 2 + 2 + 2"), bench, 10) == []


def test_repeats_name_the_earlier_question() -> None:
    assert repeats(questions("One two.", "three", "one, TWO")) == (("q2", "q0"),)


def write(path: Path, *texts: str) -> None:
    lines = [f'{{"id": "t{i}", "question": "{text}", "answer": "{i}"}}\n' for i, text in enumerate(texts)]
    path.write_text("".join(lines))


def config(path: Path) -> Config:
    return load_config(["data.train.source=file", f"data.train.path={path}", "data.train.id_column=id"])


@pytest.fixture
def two_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minerva and GPQA with two questions each."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("minerva", "gpqa"):
        sources = tuple(replace(source, golds_sha256=None) for source in BENCHMARKS[name].sources)
        monkeypatch.setitem(BENCHMARKS, name, replace(BENCHMARKS[name], count=2, sources=sources))


def test_a_check_counts_and_finds(tmp_path: Path, two_questions: None) -> None:
    write(tmp_path / "train.jsonl", "unrelated", LONG, "Unrelated!")
    write(tmp_path / "minerva.jsonl", f"{LONG} Where?", "another")

    def second_is_bad(golds: Sequence[Gold]) -> list[str | None]:
        return ["odd" if gold.answer == "1" else None for gold in golds]

    found = check_data(config(tmp_path / "train.jsonl"), tmp_path, 10, second_is_bad)
    train, minerva = found.sets
    assert (train.name, train.questions, train.repeats) == ("train", 3, (("t2", "t0"),))
    assert (minerva.questions, minerva.gold_problems) == (2, {"t1": "odd"})
    assert found.overlapping == {"minerva": 1}
    assert [(pair.train_id, pair.bench_id) for pair in found.overlap] == [("t1", "t0")]
    assert set(found.missing) == set(BENCHMARKS) - {"minerva"}


def test_a_benchmark_that_is_not_as_known_is_named_and_the_rest_is_checked(tmp_path: Path, two_questions: None) -> None:
    write(tmp_path / "train.jsonl", LONG)
    write(tmp_path / "minerva.jsonl", LONG)
    broken = check_data(config(tmp_path / "train.jsonl"), tmp_path, 10, no_problem).sets[1]
    assert broken.problem == f"{tmp_path / 'minerva.jsonl'}: 1 questions, where minerva has 2"


def test_words_of_a_confidential_benchmark_are_withheld(tmp_path: Path, two_questions: None) -> None:
    write(tmp_path / "train.jsonl", LONG)
    options = '"choices": ["w", "x", "y", "z"], "answer": "A"'
    lines = [f'{{"id": "g{i}", "question": "{LONG} Case {i}?", {options}}}\n' for i in range(2)]
    (tmp_path / "gpqa.jsonl").write_text("".join(lines))
    found = check_data(config(tmp_path / "train.jsonl"), tmp_path, 10, no_problem)
    assert [(pair.bench_id, pair.ngram) for pair in found.overlap] == [("g0", WITHHELD), ("g1", WITHHELD)]
    assert "train leaves" not in repr(found)


def test_training_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.jsonl: no such file"):
        check_data(config(tmp_path / "none.jsonl"), tmp_path, 10, no_problem)
