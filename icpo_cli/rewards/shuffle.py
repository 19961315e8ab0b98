"""Shuffled gold answers (reward.control=shuffled_golds): rewards carry no information about correctness."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy import typing as npt

from icpo_cli.grading.rules.letters import option_of
from icpo_cli.records import Gold, Prompt
from icpo_cli.rng import stable_hash

Values = npt.NDArray[np.int64]
TRIES = 8
"""Random candidates tried before a full scan."""
Pool = tuple[int, bool]
"""Golds that can be exchanged: (number of the question's options, whether the gold names one of them)."""


def shuffle_golds(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """Give each prompt the gold answer of another: a function of the prompts' order and the run's seed.

    Golds are permuted, so each occurs as often as before. No prompt gets an answer with the text of its own, unless
    more than half of the prompts it can exchange with have that text; then as few as possible do.
    Multiple-choice questions exchange golds only with questions of equally many options: such a question keeps its own
    options and takes the letter of the other's answer, which is one of its own letters too.
    """
    shuffled = list(prompts)
    for pool, indices in _pools(prompts).items():
        golds = [prompts[index].gold for index in indices]
        givers = derangement([_text(gold) for gold in golds], stable_hash(seed, "golds", *pool))
        for index, gold, giver in zip(indices, golds, givers, strict=True):
            shuffled[index] = replace(prompts[index], gold=_exchanged(gold, golds[giver]))
    return tuple(shuffled)


def unmoved(before: Sequence[Prompt], after: Sequence[Prompt]) -> int:
    """Number of prompts whose new gold answer has the same text as their own."""
    return sum(_text(old.gold) == _text(new.gold) for old, new in zip(before, after, strict=True))


def derangement(values: Sequence[str], seed: int) -> list[int]:
    """A random permutation that moves equal values onto each other as rarely as possible.

    Returns, for each index, the index whose value it gets.
    """
    draw = np.random.default_rng(seed)
    own = np.unique(values, return_inverse=True)[1]  # [N] equal values as equal numbers
    givers = draw.permutation(len(own))  # [N]
    _swap_pairs(own, givers, draw)
    for index in np.flatnonzero(own[givers] == own):
        if own[givers[index]] == own[index]:
            other = _swap_candidate(index, own, givers, draw)
            if other is None:
                # Every index has this value or received it, so no index with another value still has its own.
                break
            givers[[index, other]] = givers[[other, index]]
    return [int(index) for index in givers]


def _swap_pairs(own: Values, givers: Values, draw: np.random.Generator) -> None:
    """Swap random pairs of unequal values among those that got their own value, until none is left."""
    while True:
        indices = draw.permutation(np.flatnonzero(own[givers] == own))
        one, other = indices[: len(indices) // 2], indices[len(indices) // 2 :][: len(indices) // 2]
        unequal = own[one] != own[other]
        if not unequal.any():
            return
        one, other = one[unequal], other[unequal]
        givers[one], givers[other] = givers[other], givers[one]


def _swap_candidate(index: int, own: Values, givers: Values, draw: np.random.Generator) -> int | None:
    """An index to swap givers with, so that neither has its own value afterwards.

    It exists unless more than half of all indices have this value: fewer than N of the others have or received it.
    """
    value = own[index]
    for other in draw.integers(len(own), size=TRIES):
        if own[other] != value and own[givers[other]] != value:
            return int(other)
    others = np.flatnonzero((own != value) & (own[givers] != value))
    return int(others[draw.integers(len(others))]) if len(others) else None


def _pools(prompts: Sequence[Prompt]) -> dict[Pool, list[int]]:
    """Indices of each pool's prompts."""
    pools: dict[Pool, list[int]] = {}
    for index, prompt in enumerate(prompts):
        pools.setdefault((len(prompt.gold.choices), _letter(prompt.gold) is not None), []).append(index)
    return pools


def _exchanged(own: Gold, other: Gold) -> Gold:
    """The gold of a question with gold `own` that gets the answer of `other`."""
    letter = _letter(other)
    return replace(other, choices=own.choices) if letter is None else replace(own, answer=letter, aliases=())


def _text(gold: Gold) -> str:
    return _letter(gold) or gold.answer.strip()


def _letter(gold: Gold) -> str | None:
    """The letter of the option that the gold answer names; None if it names none."""
    option = option_of(gold) if gold.choices else None
    return option.letter if option else None
