"""What there is to say of the data before a run: counts, repeats, golds that cannot be graded, overlap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks.load import find
from icpo_cli.data.benchmarks.registry import BENCHMARKS
from icpo_cli.data.inventory import found_at, source_name
from icpo_cli.data.overlap import Overlap, overlaps, repeats
from icpo_cli.data.sources import load_questions
from icpo_cli.errors import UserError
from icpo_cli.records import Gold, Question

CheckGolds = Callable[[Sequence[Gold]], list[str | None]]
"""What is wrong with each gold, or None: the verifier's."""

WITHHELD = "(not shown: the benchmark is confidential)"


@dataclass(frozen=True)
class CheckedSet:
    """One data set: train, heldout or a benchmark."""

    name: str
    source: str
    questions: int
    repeats: tuple[tuple[str, str], ...]
    """Ids of questions that read like an earlier one, and the earlier one's."""
    gold_problems: dict[str, str]
    """By question id, what the verifier finds wrong with the gold."""
    problem: str = ""
    """Why it cannot be used at all."""


@dataclass(frozen=True)
class Checkup:
    """Everything that `icpo data check` found."""

    n: int
    sets: tuple[CheckedSet, ...]
    missing: tuple[str, ...]
    """Benchmarks whose data is not here."""
    overlapping: dict[str, int]
    """For each benchmark, how many of its questions share an n-gram with a training question."""
    overlap: tuple[Overlap, ...]


def examine(config: Config, data_dir: Path | None, n: int, check_golds: CheckGolds) -> Checkup:
    """Fetches nothing but the training data. Raises UserError where that cannot be loaded."""
    train = load_questions(config.data.train)
    of_train = check_golds if config.data.train.answer_column is not None else _no_golds
    benches: dict[str, Sequence[Question]] = {}
    missing = []
    sets = [_checked("train", source_name(config.data.train), train, of_train)]
    if config.data.heldout is not None:
        heldout = load_questions(config.data.heldout)
        sets.append(_checked("heldout", source_name(config.data.heldout), heldout, check_golds))
    for name, benchmark in BENCHMARKS.items():
        found = find(benchmark, data_dir)
        if found is None:
            missing.append(name)
            continue
        try:
            benches[name] = found.load().questions
        except UserError as error:
            sets.append(CheckedSet(name, found_at(found), 0, (), {}, problem=str(error)))
            continue
        sets.append(_checked(name, found_at(found), benches[name], check_golds))
    pairs = tuple(_withheld(pair) for pair in overlaps(train, benches, n))
    return Checkup(
        n=n,
        sets=tuple(sets),
        missing=tuple(missing),
        overlapping={name: len({pair.bench_id for pair in pairs if pair.bench == name}) for name in benches},
        overlap=pairs,
    )


def _checked(name: str, source: str, questions: Sequence[Question], check_golds: CheckGolds) -> CheckedSet:
    problems = check_golds([question.gold for question in questions])
    return CheckedSet(
        name,
        source,
        len(questions),
        repeats(questions),
        {q.id: problem for q, problem in zip(questions, problems, strict=True) if problem is not None},
    )


def _no_golds(golds: Sequence[Gold]) -> list[str | None]:
    """Nothing is wrong with what is not there."""
    return [None for _ in golds]


def _withheld(pair: Overlap) -> Overlap:
    return replace(pair, ngram=WITHHELD) if BENCHMARKS[pair.bench].confidential else pair
