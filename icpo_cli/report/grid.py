"""A report's tables as every format takes them: text in cells, with what is said of a cell beside it."""

from dataclasses import dataclass
from enum import Enum


class Rank(Enum):
    """A cell's place among those it is compared with."""

    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True)
class GridCell:
    """One cell. Its text is untrusted: formats escape it."""

    text: str
    error: str = ""
    """Standard error, where it was asked for: 1.2."""
    rank: Rank | None = None
    marks: str = ""
    """Of the footnotes that hold for it: †,a,b."""
    run_id: str = ""
    """The evaluation that the number is from; empty for a mean of several."""


@dataclass(frozen=True)
class Header:
    """A column's name, the smaller line beneath, and whether numbers stand in it."""

    name: str
    below: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class GridGroup:
    """Rows under a heading of their own; an empty title is none."""

    title: str
    rows: tuple[tuple[GridCell, ...], ...]


@dataclass(frozen=True)
class Grid:
    """A table: rows as long as headers."""

    title: str
    headers: tuple[Header, ...]
    groups: tuple[GridGroup, ...]
    footnotes: tuple[tuple[str, str], ...] = ()
    """(mark, what it says), in the order of the marks."""


@dataclass(frozen=True)
class Document:
    """Tables under one title, and sentences that a reader needs for them."""

    title: str
    grids: tuple[Grid, ...]
    notes: tuple[str, ...] = ()


PARTIAL_MARK = "†"
LETTERS = "abcdefghijklmnoprstuvwxyz"
"""Those that Unicode has as superscripts: all but q."""


def mark(place: int) -> str:
    """The letters of a note, from 0: a, b, ... z, aa, ab."""
    letter = LETTERS[place % len(LETTERS)]
    return letter if place < len(LETTERS) else mark(place // len(LETTERS) - 1) + letter
