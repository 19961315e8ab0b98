"""Tables, and the document that every format takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

PARTIAL_MARK = "†"
LETTERS = "abcdefghijklmnoprstuvwxyz"
"""Letters that Unicode has as superscripts: all but q."""


class Highlight(Enum):
    """The best and the second best of the cells that are compared with each other."""

    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True)
class Cell:
    """One cell. Its text is untrusted: formats escape it."""

    text: str
    error: str = ""
    """Standard error, where it was asked for: 1.2."""
    highlight: Highlight | None = None
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
    """Tables under one title, the notes that a reader needs for them, and the same numbers as data."""

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    """For JSON: numbers unrounded, null if not known."""
    lines: tuple[Mapping[str, object], ...] = ()
    """For CSV, all with the same columns: numbers unrounded, None if not known."""

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The evaluations that the numbers come from."""
        cells = (cell for table in self.tables for row in table.rows for cell in row)
        return tuple(dict.fromkeys(cell.run_id for cell in cells if cell.run_id))


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
