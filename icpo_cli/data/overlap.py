"""Training questions that share a run of words with a benchmark's: what a model may know by heart."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.records import Question

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Overlap:
    """A training question and a benchmark's that share an n-gram or more."""

    train_id: str
    bench: str
    bench_id: str
    shared: int
    """Distinct n-grams."""
    ngram: str
    """The first of them, in normalised words."""


def normalised(text: str) -> list[str]:
    """Its words, lower case, without punctuation and layout."""
    return WORD.findall(text.lower())


def ngrams(text: str, n: int) -> Iterator[str]:
    """Every run of n words; a text of fewer is one run itself, so that short questions can be found again too."""
    words = normalised(text)
    for start in range(max(1, len(words) - n + 1)):
        yield " ".join(words[start : start + n])


def overlaps(train: Iterable[Question], benches: Mapping[str, Sequence[Question]], n: int) -> list[Overlap]:
    """Pairs in the order of the training questions, by look-up of their n-grams among the benchmarks'."""
    index: dict[str, list[tuple[str, str]]] = defaultdict(list)  # n-gram to (bench, id)
    for bench, questions in benches.items():
        for question in questions:
            for ngram in set(ngrams(question.text, n)):
                index[ngram].append((bench, question.id))
    found = []
    for question in train:
        shared: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for ngram in ngrams(question.text, n):
            for place in index.get(ngram, ()):
                shared[place][ngram] = None
        found += [Overlap(question.id, *place, len(common), next(iter(common))) for place, common in shared.items()]
    return found


def repeats(questions: Iterable[Question]) -> tuple[tuple[str, str], ...]:
    """Ids of questions that read, word for word, like an earlier one, and the earlier one's."""
    first: dict[str, str] = {}
    pairs = []
    for question in questions:
        words = " ".join(normalised(question.text))
        if words in first:
            pairs.append((question.id, first[words]))
        first.setdefault(words, question.id)
    return tuple(pairs)
