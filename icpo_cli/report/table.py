"""Tables 1 to 4 from rows: rows grouped and in order, numbers with their marks, best and second of each column."""

import math
from collections.abc import Sequence
from itertools import groupby

from icpo_cli.report.layouts import LAYOUTS, Layout, heading, in_order
from icpo_cli.report.rank import DIGITS, ranks
from icpo_cli.report.results import MEANS, TITLES, EvalRow, Subject
from icpo_cli.report.select import Selection
from icpo_cli.report.versions import Versions
from icpo_cli.tables.table import PARTIAL_MARK, Cell, Column, Document, Rank, Table, footnote_mark

NOTHING = "–"
PARTIAL = "Partial: not the whole benchmark, k responses each."
MARKED = "Best bold, second underlined, of each group and column; equal as printed is equal."
TAKES_NO_PART = "Partial numbers and those of another grader or other data are neither."


def table_document(selection: Selection, number: int, errors: bool) -> Document:
    """Table `number` of the rows that belong in it; `errors` adds standard errors."""
    layout = LAYOUTS[number]
    rows = rows_of(selection.rows, layout)
    table = _Numbers(layout, rows, selection.versions).table(errors)
    notes = [*selection.notes]
    if len(rows) < len(selection.rows):
        left = len(selection.rows) - len(rows)
        notes.append(f"Not in this table, which has {layout.about}: {left} of {len(selection.rows)} rows.")
    if any(cell.rank for row in table.rows for cell in row):
        notes.insert(0, f"{MARKED} {TAKES_NO_PART}" if table.footnotes else MARKED)
    return Document(f"Table {number}: {layout.title}", (table,), tuple(notes))


def rows_of(rows: Sequence[EvalRow], layout: Layout) -> list[EvalRow]:
    """Those that the table has, in its order."""
    return sorted((row for row in rows if layout.admits(row.subject)), key=lambda row: in_order(row.subject))


def number_text(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.{DIGITS}f}"


def column_ranks(rows: Sequence[EvalRow], layout: Layout, versions: Versions) -> list[dict[str, Rank | None]]:
    """A row's best and second places by column, among the rows of its block that can be compared."""
    found: list[dict[str, Rank | None]] = [{} for _ in rows]
    for block in dict.fromkeys(layout.block(row.subject) for row in rows):
        places = [place for place, row in enumerate(rows) if layout.block(row.subject) == block]
        for column in layout.columns:
            values = [_comparable(rows[place], column, versions) for place in places]
            for place, rank in zip(places, ranks(values), strict=True):
                found[place][column] = rank
    return found


def _comparable(row: EvalRow, column: str, versions: Versions) -> float | None:
    score = row.score(column)
    if score is None or score.partial or _differences(row, column, versions):
        return None
    return score.avg_at_k


def _differences(row: EvalRow, column: str, versions: Versions) -> list[str]:
    """How the number came about otherwise than those of the table do."""
    return [note for cell in row.named_parts(column) for note in versions.differences(*cell)]


class _Numbers:
    """A table's cells; notes get their letters in the order in which they are met."""

    def __init__(self, layout: Layout, rows: Sequence[EvalRow], versions: Versions) -> None:
        self._layout = layout
        self._rows = rows
        self._versions = versions
        self._headings = {
            column: ""
            if column in MEANS
            else heading(column, {row.cells[column].k for row in rows if column in row.cells})
            for column in layout.columns
        }
        self._letters: dict[str, str] = {}

    def table(self, errors: bool) -> Table:
        places = column_ranks(self._rows, self._layout, self._versions)
        lines: list[tuple[Subject, tuple[Cell, ...]]] = []
        for row, rank in zip(self._rows, places, strict=True):
            first = not lines or lines[-1][0].model != row.subject.model
            names = [Cell(text) for text in self._layout.cells(row.subject, first)]
            numbers = [self._cell(row, column, rank[column], errors) for column in self._layout.columns]
            lines.append((row.subject, (*names, *numbers)))
        groups = groupby(lines, key=lambda line: self._layout.group(line[0]))
        partial = any(PARTIAL_MARK in cell.marks for _, cells in lines for cell in cells)
        return Table(
            title=self._layout.title,
            columns=(
                *(Column(name, numeric=False) for name in self._layout.names),
                *(Column(TITLES[column], self._headings[column]) for column in self._layout.columns),
            ),
            groups=tuple((title, tuple(cells for _, cells in group)) for title, group in groups),
            footnotes=(
                *(((PARTIAL_MARK, PARTIAL),) if partial else ()),
                *((letter, note) for note, letter in self._letters.items()),
            ),
        )

    def _cell(self, row: EvalRow, column: str, rank: Rank | None, errors: bool) -> Cell:
        score = row.score(column)
        if score is None:
            return Cell(NOTHING)
        notes = _differences(row, column, self._versions)
        if column not in MEANS and (said := f"Avg@{row.cells[column].k}") != self._headings[column]:
            notes.append(f"{said}.")
        marks = [self._letters.setdefault(note, footnote_mark(len(self._letters))) for note in dict.fromkeys(notes)]
        return Cell(
            number_text(score.avg_at_k),
            error=number_text(score.stderr) if errors else "",
            rank=rank,
            marks=",".join([PARTIAL_MARK, *marks] if score.partial else marks),
            run_id="" if column in MEANS else row.cells[column].run_id,
        )
