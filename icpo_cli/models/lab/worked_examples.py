"""What the laboratory's model is taught: sums, worked out in one of several ways.

    Calculate 34 + 28 + 9.
    <think>34+20=54+8=62+9=71</think><answer>71</answer>

A number is added at once or place by place, as chance has it, and some answers come without a working. So the model
learns several ways to every answer, long and sure or short and risky, and what it says is a distribution.
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

Terms = list[int]
"""The numbers of a sum."""


@dataclass(frozen=True)
class Curriculum:
    """Which sums, and how they are worked out."""

    terms: tuple[int, int] = (2, 3)
    """Fewest and most numbers of a sum."""
    digits: tuple[int, int] = (1, 2)
    """Of the numbers of one sum, as reasoning_gym's basic_arithmetic has it: 0 to 10**digits, both included."""
    split_rate: float = 0.5
    """Between two places of a number: the chance that they are added one after the other."""
    guess_rate: float = 0.15
    """Of answers without a working."""


def draw_terms(curriculum: Curriculum, draw: Random) -> Terms:
    largest = 10 ** draw.randint(*curriculum.digits)
    return [draw.randint(0, largest) for _ in range(draw.randint(*curriculum.terms))]


def question_of(terms: Terms) -> str:
    """In reasoning_gym's words."""
    return f"Calculate {' + '.join(map(str, terms))}."


def response_to(terms: Terms, curriculum: Curriculum, draw: Random) -> str:
    """One way to the answer."""
    working = "" if draw.random() < curriculum.guess_rate else _working(terms, curriculum, draw)
    return f"<think>{working}</think><answer>{sum(terms)}</answer>"


def _working(terms: Terms, curriculum: Curriculum, draw: Random) -> str:
    value, working = terms[0], str(terms[0])
    for part in (part for term in terms[1:] for part in _parts(term, curriculum, draw)):
        value += part
        working += f"+{part}={value}"
    return working


def _parts(term: int, curriculum: Curriculum, draw: Random) -> Terms:
    """The number cut between some of its digits that are not 0: 28 as 20, 8, or whole."""
    places = [10**place for place, digit in enumerate(reversed(str(term))) if digit != "0"]
    cuts = [place for place in places[1:] if draw.random() < curriculum.split_rate]
    return [
        term % above // below * below for above, below in pairwise([10 * max(places, default=1), *reversed(cuts), 1])
    ]
