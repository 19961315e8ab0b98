"""The table record that every format takes."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

PARTIAL_MARK = "†"
LETTERS = "abcdefghijklmnoprstuvwxyz"
"""Letters that Unicode has as superscripts: all but q."""


class Rank(Enum):
    """Rank of a cell among the cells it is compared with."""

    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True)
class Cell:
    """One cell. Its text is untrusted: formats escape it."""

    text: str
    error: str = ""
    """Standard error, where it was asked for: 1.2."""
    rank: Rank | None = None
    marks: str = ""
    """Marks of its footnotes: †,a,b."""
    run_id: str = ""
    """Evaluation that the number comes from; empty for a mean of several."""


@dataclass(frozen=True)
class Column:
    """Header of a column."""

    name: str
    below: str = ""
    """Second header line, in small print."""
    numeric: bool = True
    """Right-aligned."""


Rows = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Columns, and rows of as many cells, in groups."""

    title: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[str, Rows], ...]
    """(heading, rows); an empty heading is not shown."""
    footnotes: tuple[tuple[str, str], ...] = ()
    """(mark, text), in the order of the marks."""

    @property
    def rows(self) -> Rows:
        return tuple(row for _, rows in self.groups for row in rows)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """Rows of the cells' texts alone."""
        return tuple(tuple(cell.text for cell in row) for row in self.rows)


@dataclass(frozen=True)
class Document:
    """Tables under one title, and the notes that a reader needs for them."""

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def text_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[str] = (), title: str = ""
) -> Table:
    """Table of plain texts in one group. `numeric`: headers of the right-aligned columns."""
    right = set(numeric)
    columns = tuple(Column(name, numeric=name in right) for name in headers)
    return Table(title, columns, (("", tuple(tuple(map(Cell, row)) for row in rows)),))


def footnote_mark(index: int) -> str:
    """Letters of a footnote, from 0: a, b, ... z, aa, ab."""
    letter = LETTERS[index % len(LETTERS)]
    return letter if index < len(LETTERS) else footnote_mark(index // len(LETTERS) - 1) + letter


def to_csv(rows: Iterable[Sequence[object]]) -> str:
    """CSV text of rows, the header row first; numbers are not rounded."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
