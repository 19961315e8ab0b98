"""Training examples of the lab model: sums with a worked solution in one of several ways.

    Calculate 34 + 28 + 9.
    <think>34+20=54+8=62+9=71</think><answer>71</answer>

A number is added at once or digit by digit, at random, and some answers have no reasoning. So the model learns several
ways to each answer, long and reliable or short and risky, and its responses differ between samples.
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

Terms = list[int]
"""The numbers of a sum."""


@dataclass(frozen=True)
class Curriculum:
    """Distribution of the sums and of their solutions."""

    terms: tuple[int, int] = (2, 3)
    """Minimum and maximum count of numbers in a sum."""
    digits: tuple[int, int] = (1, 2)
    """Digits of the numbers in a sum, as in reasoning_gym's basic_arithmetic: 0 to 10**digits, both included."""
    split_rate: float = 0.5
    """Probability that two adjacent digits of a number are added one after the other."""
    guess_rate: float = 0.15
    """Share of answers without reasoning."""


def draw_terms(curriculum: Curriculum, draw: Random) -> Terms:
    largest = 10 ** draw.randint(*curriculum.digits)
    return [draw.randint(0, largest) for _ in range(draw.randint(*curriculum.terms))]


def question_of(terms: Terms) -> str:
    """The question in reasoning_gym's form."""
    return f"Calculate {' + '.join(map(str, terms))}."


def response_to(terms: Terms, curriculum: Curriculum, draw: Random) -> str:
    """A response with one random way to the answer."""
    steps = "" if draw.random() < curriculum.guess_rate else _worked_steps(terms, curriculum, draw)
    return f"<think>{steps}</think><answer>{sum(terms)}</answer>"


def _worked_steps(terms: Terms, curriculum: Curriculum, draw: Random) -> str:
    value, steps = terms[0], str(terms[0])
    for part in (part for term in terms[1:] for part in _parts(term, curriculum, draw)):
        value += part
        steps += f"+{part}={value}"
    return steps


def _parts(term: int, curriculum: Curriculum, draw: Random) -> Terms:
    """Split a number between some of its nonzero digits: 28 into 20 and 8, or not at all."""
    places = [10**place for place, digit in enumerate(reversed(str(term))) if digit != "0"]
    cuts = [place for place in places[1:] if draw.random() < curriculum.split_rate]
    return [
        term % above // below * below for above, below in pairwise([10 * max(places, default=1), *reversed(cuts), 1])
    ]
