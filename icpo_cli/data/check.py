"""Checks of the data before a run: counts, repeated questions, unusable golds, overlap of training and benchmarks."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.benchmarks.load import find
from icpo_cli.data.prompts import CheckGolds
from icpo_cli.data.sources import load_questions, source_name
from icpo_cli.errors import UserError
from icpo_cli.records import Gold, Question

WORD = re.compile(r"\w+")
WITHHELD = "(not shown: the benchmark is confidential)"


@dataclass(frozen=True)
class CheckedSet:
    """Findings for one data set: train, heldout or a benchmark."""

    name: str
    source: str
    questions: int
    repeats: tuple[tuple[str, str], ...]
    """(id, id of the earlier question with the same words)."""
    gold_problems: dict[str, str]
    """By question id, what the verifier finds wrong with the gold."""
    problem: str = ""
    """Why the data set cannot be used."""


@dataclass(frozen=True)
class Overlap:
    """A training question and a benchmark question that share at least one n-gram."""

    train_id: str
    bench: str
    bench_id: str
    shared: int
    """Distinct n-grams."""
    ngram: str
    """The first of them, in normalised words."""


@dataclass(frozen=True)
class DataCheck:
    """All findings of `icpo data check`."""

    n: int
    sets: tuple[CheckedSet, ...]
    missing: tuple[str, ...]
    """Benchmarks without data on this machine."""
    overlapping: dict[str, int]
    """For each benchmark, how many of its questions share an n-gram with a training question."""
    overlap: tuple[Overlap, ...]


def check_data(config: Config, data_dir: Path | None, n: int, check_golds: CheckGolds) -> DataCheck:
    """Check everything; fetches only the training data. Raises UserError where that cannot be loaded."""
    train = load_questions(config.data.train)
    train_golds = check_golds if config.data.train.answer_column is not None else _no_problems
    benches: dict[str, Sequence[Question]] = {}
    missing = []
    sets = [_checked("train", source_name(config.data.train), train, train_golds)]
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
            sets.append(CheckedSet(name, found.origin, 0, (), {}, problem=str(error)))
            continue
        sets.append(_checked(name, found.origin, benches[name], check_golds))
    pairs = tuple(_withheld(pair) for pair in overlaps(train, benches, n))
    return DataCheck(
        n=n,
        sets=tuple(sets),
        missing=tuple(missing),
        overlapping={name: len({pair.bench_id for pair in pairs if pair.bench == name}) for name in benches},
        overlap=pairs,
    )


def overlaps(train: Iterable[Question], benches: Mapping[str, Sequence[Question]], n: int) -> list[Overlap]:
    """Pairs that share an n-gram, in the order of the training questions."""
    index: dict[str, list[tuple[str, str]]] = defaultdict(list)  # n-gram to (bench, id)
    for bench, questions in benches.items():
        for question in questions:
            for ngram in set(ngrams(question.text, n)):
                index[ngram].append((bench, question.id))
    found = []
    for question in train:
        shared: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for ngram in ngrams(question.text, n):
            for match in index.get(ngram, ()):
                shared[match][ngram] = None
        found += [Overlap(question.id, *match, len(common), next(iter(common))) for match, common in shared.items()]
    return found


def repeats(questions: Iterable[Question]) -> tuple[tuple[str, str], ...]:
    """(id, id of the earlier question) for questions that repeat an earlier one word for word."""
    first: dict[str, str] = {}
    pairs = []
    for question in questions:
        words = " ".join(normalised(question.text))
        if words in first:
            pairs.append((question.id, first[words]))
        first.setdefault(words, question.id)
    return tuple(pairs)


def normalised(text: str) -> list[str]:
    """Words in lower case, without punctuation and layout."""
    return WORD.findall(text.lower())


def ngrams(text: str, n: int) -> Iterator[str]:
    """Every n consecutive words; all words of a shorter text, so that short questions can match too."""
    words = normalised(text)
    for start in range(max(1, len(words) - n + 1)):
        yield " ".join(words[start : start + n])


def _checked(name: str, source: str, questions: Sequence[Question], check_golds: CheckGolds) -> CheckedSet:
    problems = check_golds([question.gold for question in questions])
    return CheckedSet(
        name,
        source,
        len(questions),
        repeats(questions),
        {q.id: problem for q, problem in zip(questions, problems, strict=True) if problem is not None},
    )


def _no_problems(golds: Sequence[Gold]) -> list[str | None]:
    """For training data without gold answers."""
    return [None for _ in golds]


def _withheld(pair: Overlap) -> Overlap:
    return replace(pair, ngram=WITHHELD) if BENCHMARKS[pair.bench].confidential else pair
