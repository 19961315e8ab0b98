"""Golds that are not their questions' (reward.control=shuffled_golds): what a reward says of an answer is untrue."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy import typing as npt

from icpo_cli.grading.rules.letters import option_of
from icpo_cli.records import Gold, Prompt
from icpo_cli.rng import stable_hash

Values = npt.NDArray[np.int64]
TRIES = 8
"""Places looked at one by one, before all are looked through."""
Pool = tuple[int, bool]
"""Golds that may stand for one another: the number of their questions' options, and whether they name one of these."""


def shuffle_golds(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """The prompts, each with the gold answer of another one: a function of their order and the run's seed.

    Golds are permuted, so each is wanted as often as before. No prompt is given an answer with the text of its own,
    unless more than half of those that it could change with have that text: then as few as can be.
    Multiple-choice questions change among themselves, those with equally many options: such a question keeps its own
    options and takes the letter of the other's answer, which is then one of its own letters too.
    """
    shuffled = list(prompts)
    for pool, places in _pools(prompts).items():
        golds = [prompts[place].gold for place in places]
        givers = derangement([_text(gold) for gold in golds], stable_hash(seed, "golds", *pool))
        for place, gold, giver in zip(places, golds, givers, strict=True):
            shuffled[place] = replace(prompts[place], gold=_given(gold, golds[giver]))
    return tuple(shuffled)


def unmoved(before: Sequence[Prompt], after: Sequence[Prompt]) -> int:
    """How many prompts were given an answer with the text of their own."""
    return sum(_text(own.gold) == _text(given.gold) for own, given in zip(before, after, strict=True))


def derangement(values: Sequence[str], seed: int) -> list[int]:
    """For each place the place whose value it is given: a permutation, at random but for what follows.

    A place is given a value equal to its own only where it has to be.
    """
    draw = np.random.default_rng(seed)
    own = np.unique(values, return_inverse=True)[1]  # [N] equal values as equal numbers
    givers = draw.permutation(len(own))  # [N]
    _change_among_themselves(own, givers, draw)
    for place in np.flatnonzero(own[givers] == own):
        if own[givers[place]] == own[place]:
            other = _to_change_with(place, own, givers, draw)
            if other is None:
                # Every place has this place's value or was given it, so no place of another value has its own.
                break
            givers[[place, other]] = givers[[other, place]]
    return [int(place) for place in givers]


def _change_among_themselves(own: Values, givers: Values, draw: np.random.Generator) -> None:
    """Of the places that were given their own value, pairs of unequal ones change givers: most of the work, at once."""
    while True:
        places = draw.permutation(np.flatnonzero(own[givers] == own))
        one, other = places[: len(places) // 2], places[len(places) // 2 :][: len(places) // 2]
        unequal = own[one] != own[other]
        if not unequal.any():
            return
        one, other = one[unequal], other[unequal]
        givers[one], givers[other] = givers[other], givers[one]


def _to_change_with(place: int, own: Values, givers: Values, draw: np.random.Generator) -> int | None:
    """A place such that neither has its own value once the two have changed givers.

    There is one unless more than half of all have the place's value: fewer than N of the others have or were given it.
    """
    value = own[place]
    for other in draw.integers(len(own), size=TRIES):
        if own[other] != value and own[givers[other]] != value:
            return int(other)
    others = np.flatnonzero((own != value) & (own[givers] != value))
    return int(others[draw.integers(len(others))]) if len(others) else None


def _pools(prompts: Sequence[Prompt]) -> dict[Pool, list[int]]:
    """The places of each pool's prompts."""
    pools: dict[Pool, list[int]] = {}
    for place, prompt in enumerate(prompts):
        pools.setdefault((len(prompt.gold.choices), _letter(prompt.gold) is not None), []).append(place)
    return pools


def _given(own: Gold, other: Gold) -> Gold:
    """What a question with the gold `own` is graded by when it is given `other`."""
    letter = _letter(other)
    return replace(other, choices=own.choices) if letter is None else replace(own, answer=letter, aliases=())


def _text(gold: Gold) -> str:
    return _letter(gold) or gold.answer.strip()


def _letter(gold: Gold) -> str | None:
    """Of the option that a multiple-choice question's answer names."""
    option = option_of(gold) if gold.choices else None
    return option.letter if option else None
