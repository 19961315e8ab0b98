"""The paper's Tables 1 to 4: rows in groups, scores with marks, best and second of each column, and the raw numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby

from icpo_cli.data.benchmarks import TITLES
from icpo_cli.report.layouts import LAYOUTS, TableLayout, heading, in_order
from icpo_cli.report.results import MEANS, EvalRow, ModelVariant, Score, Versions
from icpo_cli.report.select import Selection
from icpo_cli.tables.document import PARTIAL_MARK, Cell, Column, Document, Highlight, Table, footnote_mark
from icpo_cli.text import known, number

DIGITS = 1
"""Printed digits. Values equal as printed are equal, as in the paper (Gemma's Math: 15.80 and 15.77, both best)."""
NOTHING = "–"
PARTIAL = "Partial: not the whole benchmark, k responses each."
MARKED = "Best bold, second underlined, of each group and column; equal as printed is equal."
UNMARKED = "Partial numbers and those of another grader or other data are neither."
SCORE_COLUMNS = ("stderr", "ci95_low", "ci95_high", "n", "k", "partial", "run", "grader", "data")
"""Suffixes of the CSV columns BENCH_...; a mean has only MEAN_COLUMNS."""
MEAN_COLUMNS = ("stderr", "ci95_low", "ci95_high", "partial")

Highlights = dict[str, Highlight | None]
"""A row's best and second numbers, by column."""


def accuracy_table(selection: Selection, number: int, errors: bool) -> Document:
    """Table `number`, 1 to 4, of the rows that belong in it; `errors` adds standard errors."""
    layout, versions = LAYOUTS[number], selection.versions
    rows = sorted((row for row in selection.rows if layout.admits(row.variant)), key=lambda row: in_order(row.variant))
    highlights = column_highlights(rows, layout, versions)
    table = _table(layout, rows, highlights, versions, errors)
    notes = [*selection.notes]
    if len(rows) < len(selection.rows):
        left = len(selection.rows) - len(rows)
        notes.append(f"Not in this table, which has {layout.about}: {left} of {len(selection.rows)} rows.")
    if any(cell.highlight for row in table.rows for cell in row):
        notes.insert(0, f"{MARKED} {UNMARKED}" if table.footnotes else MARKED)
    data = {
        "table": number,
        "title": layout.title,
        "grader": versions.grader,
        "rows": [_row_json(row, its, layout, versions) for row, its in zip(rows, highlights, strict=True)],
        "notes": notes,
    }
    title = f"Table {number}: {layout.title}"
    return Document(title, (table,), tuple(notes), data, tuple(_lines(rows, layout.columns)))


def accuracy_tables(selection: Selection, number: int | None, errors: bool) -> list[Document]:
    """The requested table, else Table 1 and those of the others that show something it does not."""
    variants = [row.variant for row in selection.rows]
    shown = {
        1: True,
        2: any(variant.setting == "coarse" for variant in variants),
        3: len({variant.model for variant in variants if variant.method in ("grpo", "icpo")}) > 1,
        4: any(variant.method.startswith("icpo:") for variant in variants),
    }
    numbers = [each for each in shown if shown[each]] if number is None else [number]
    return [accuracy_table(selection, each, errors) for each in numbers]


def best_and_second(values: Sequence[float | None]) -> list[Highlight | None]:
    """Best and second of values that are compared with each other, by Table 1's rule; None takes no part.

    Equal values are both best, and the second is the next lower value however many are best. A single value is
    neither.
    """
    printed = [None if value is None else printed_value(value) for value in values]
    present = [value for value in printed if value is not None]
    if len(present) < 2:
        return [None] * len(values)
    marks = dict(zip(sorted(set(present), reverse=True), Highlight, strict=False))
    return [None if value is None else marks.get(value) for value in printed]


def column_highlights(rows: Sequence[EvalRow], layout: TableLayout, versions: Versions) -> list[Highlights]:
    """Each row's best and second numbers, among the rows of its block that can be compared."""
    found: list[Highlights] = [{} for _ in rows]
    for block in dict.fromkeys(layout.block(row.variant) for row in rows):
        indices = [index for index, row in enumerate(rows) if layout.block(row.variant) == block]
        for column in layout.columns:
            values = [_comparable(rows[index], column, versions) for index in indices]
            for index, highlight in zip(indices, best_and_second(values), strict=True):
                found[index][column] = highlight
    return found


def printed_value(value: float) -> float:
    return float(f"{value:.{DIGITS}f}")


def number_text(value: float) -> str:
    return number(value, f".{DIGITS}f", NOTHING)


def variant_json(variant: ModelVariant) -> dict[str, object]:
    return {name: value for name, value in asdict(variant).items() if name != "source"}


def score_json(score: Score, mean: bool) -> dict[str, object]:
    found: dict[str, object] = {
        "avg_at_k": known(score.avg_at_k),
        "stderr": known(score.stderr),
        "ci95": [known(bound) for bound in score.ci95],
        "partial": score.partial,
    }
    if not mean:
        found |= {"n": score.n, "k": score.k, "run": score.run_id, "grader": score.grader, "data": score.data}
    return found


def flat(values: Mapping[str, object]) -> dict[str, object]:
    """Values of a JSON object as columns of a CSV: ci95 becomes ci95_low and ci95_high, True becomes true."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, list):
            found |= {f"{name}_{end}": bound for end, bound in zip(("low", "high"), value, strict=True)}
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else value
    return found


def marks_of(partial: bool, notes: Sequence[str], letters: dict[str, str]) -> str:
    """Marks of a cell's footnotes: †,a,b. A new note gets the next letter in `letters`."""
    marks = [letters.setdefault(note, footnote_mark(len(letters))) for note in dict.fromkeys(notes)]
    return ",".join([PARTIAL_MARK, *marks] if partial else marks)


def footnotes_of(partial: bool, letters: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return (*(((PARTIAL_MARK, PARTIAL),) if partial else ()), *((letter, note) for note, letter in letters.items()))


def _comparable(row: EvalRow, column: str, versions: Versions) -> float | None:
    score = row.score(column)
    if score is None or score.partial or _differences(row, column, versions):
        return None
    return score.avg_at_k


def _differences(row: EvalRow, column: str, versions: Versions) -> list[str]:
    """Notes on how the grader or data of a number differ from the table's."""
    return [note for part in row.named_parts(column) for note in versions.differences(*part)]


def _table(
    layout: TableLayout, rows: Sequence[EvalRow], highlights: Sequence[Highlights], versions: Versions, errors: bool
) -> Table:
    headings = {
        column: ""
        if column in MEANS
        else heading(column, {row.scores[column].k for row in rows if column in row.scores})
        for column in layout.columns
    }
    letters: dict[str, str] = {}
    lines: list[tuple[ModelVariant, tuple[Cell, ...]]] = []
    for row, its in zip(rows, highlights, strict=True):
        first = not lines or lines[-1][0].model != row.variant.model
        names = [Cell(text) for text in layout.cells(row.variant, first)]
        notes = {column: _notes(row, column, headings[column], versions) for column in layout.columns}
        numbers = [_cell(row.score(column), its[column], notes[column], errors, letters) for column in layout.columns]
        lines.append((row.variant, (*names, *numbers)))
    groups = groupby(lines, key=lambda line: layout.group(line[0]))
    return Table(
        title=layout.title,
        columns=(
            *(Column(name, numeric=False) for name in layout.names),
            *(Column(TITLES[column], headings[column]) for column in layout.columns),
        ),
        groups=tuple((title, tuple(cells for _, cells in group)) for title, group in groups),
        footnotes=footnotes_of(any(PARTIAL_MARK in cell.marks for _, cells in lines for cell in cells), letters),
    )


def _notes(row: EvalRow, column: str, heading: str, versions: Versions) -> list[str]:
    """Footnotes of a number."""
    notes = _differences(row, column, versions)
    if column in row.scores and (own := f"Avg@{row.scores[column].k}") != heading:
        notes.append(f"{own}.")
    return notes


def _cell(
    score: Score | None, highlight: Highlight | None, notes: Sequence[str], errors: bool, letters: dict[str, str]
) -> Cell:
    if score is None:
        return Cell(NOTHING)
    return Cell(
        number_text(score.avg_at_k),
        error=number_text(score.stderr) if errors else "",
        highlight=highlight,
        marks=marks_of(score.partial, notes, letters),
        run_id=score.run_id,
    )


def _row_json(row: EvalRow, highlights: Highlights, layout: TableLayout, versions: Versions) -> dict[str, object]:
    cells = {
        column: {
            **score_json(score, column in MEANS),
            "rank": highlight.value if (highlight := highlights[column]) else None,
            "differs": _differences(row, column, versions),
        }
        for column in layout.columns
        if (score := row.score(column)) is not None
    }
    return {**variant_json(row.variant), "group": layout.group(row.variant), "cells": cells}


def _lines(rows: Sequence[EvalRow], columns: Sequence[str]) -> list[dict[str, object]]:
    """CSV lines, which `--against FILE.csv` reads: names, accuracies, then the facts of each score."""
    facts = [(column, fact) for column in columns for fact in (MEAN_COLUMNS if column in MEANS else SCORE_COLUMNS)]
    lines = []
    for row in rows:
        names = {name: value for name, value in variant_json(row.variant).items() if name != "apart"}
        scores = {column: row.score(column) for column in columns}
        values = {column: flat(score_json(score, mean=False)) if score else {} for column, score in scores.items()}
        accuracies = {column: values[column].get("avg_at_k") for column in columns}
        more = {f"{column}_{fact}": values[column].get(fact) for column, fact in facts}
        lines.append({**names, "printed_as": row.title, **accuracies, **more})
    return lines
