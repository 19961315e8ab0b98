"""A report in every form: tables for readers, numbers for programs."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from icpo_cli.report.layouts import LAYOUTS
from icpo_cli.report.paper import OF_A_BENCHMARK
from icpo_cli.report.results import COLUMNS, MEANS, BenchScore, EvalRow, Score, Subject
from icpo_cli.report.select import Selection
from icpo_cli.report.table import column_ranks, rows_of, table_document
from icpo_cli.tables.html import to_html
from icpo_cli.tables.latex import to_latex
from icpo_cli.tables.markdown import to_markdown
from icpo_cli.tables.table import Document, to_csv


@dataclass(frozen=True)
class Report:
    """What `icpo report` shows, before it has a format."""

    document: Document
    data: dict[str, Any]
    """As JSON: numbers unrounded, null where one is not known."""
    lines: tuple[tuple[object, ...], ...]
    """As CSV, the first of them the columns' names: numbers unrounded, empty where one is not known."""
    run_ids: tuple[str, ...]
    """The evaluations that the numbers are from."""


def table_report(selection: Selection, number: int, errors: bool) -> Report:
    """Table 1 to 4 of the rows that belong in it."""
    layout = LAYOUTS[number]
    document = table_document(selection, number, errors)
    rows = rows_of(selection.rows, layout)
    ranks = column_ranks(rows, layout, selection.versions)
    versions = selection.versions
    data = {
        "table": number,
        "title": layout.title,
        "grader": versions.grader,
        "rows": [
            {
                **subject_json(row.subject),
                "group": layout.group(row.subject),
                "cells": {
                    column: {
                        **score_json(score),
                        "rank": rank.value if (rank := place[column]) else None,
                        "differs": [note for cell in row.named_parts(column) for note in versions.differences(*cell)],
                    }
                    for column in layout.columns
                    if (score := row.score(column)) is not None
                },
            }
            for row, place in zip(rows, ranks, strict=True)
        ],
        "notes": list(document.notes),
    }
    run_ids = tuple(dict.fromkeys(cell.run_id for row in rows for cell in row.cells.values()))
    return Report(document, data, tuple(_lines(rows, layout.columns)), run_ids)


def subject_json(subject: Subject) -> dict[str, str]:
    names = ("family", "model", "method", "setting", "verifier", "apart")
    return {name: getattr(subject, name) for name in names}


def score_json(score: Score) -> dict[str, object]:
    found: dict[str, object] = {
        "avg_at_k": known(score.avg_at_k),
        "stderr": known(score.stderr),
        "ci95": [known(bound) for bound in score.ci95],
        "partial": score.partial,
    }
    if isinstance(score, BenchScore):
        found |= {"n": score.n, "k": score.k, "run": score.run_id, "grader": score.grader, "data": score.data}
    return found


def known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _lines(rows: Sequence[EvalRow], columns: Sequence[str]) -> list[tuple[object, ...]]:
    """A line a row, which `--against FILE.csv` reads: its numbers, then what stands behind each."""
    behind = [
        (column, what) for column in columns for what in OF_A_BENCHMARK if column not in MEANS or what in OF_A_MEAN
    ]
    head = ("family", "model", "method", "setting", "verifier", "printed_as", *columns)
    lines: list[tuple[object, ...]] = [(*head, *(f"{column}_{what}" for column, what in behind))]
    for row in rows:
        of = row.subject
        facts = {column: _facts(score) for column in COLUMNS if (score := row.score(column)) is not None}
        names = (of.family, of.model, of.method, of.setting, of.verifier, row.title)
        numbers = (facts.get(column, {}).get("avg_at_k", "") for column in columns)
        lines.append((*names, *numbers, *(facts.get(column, {}).get(what, "") for column, what in behind)))
    return lines


OF_A_MEAN = ("stderr", "ci95_low", "ci95_high", "partial")


def _facts(score: Score) -> dict[str, object]:
    """By the names that CSV columns end in."""
    facts = score_json(score)
    low, high = (known(bound) for bound in score.ci95)
    facts |= {"ci95_low": low, "ci95_high": high, "partial": str(score.partial).lower()}
    return {name: "" if value is None else value for name, value in facts.items()}


FORMATS: dict[str, Callable[[Report], str]] = {
    "md": lambda report: to_markdown(report.document),
    "csv": lambda report: to_csv(report.lines),
    "tex": lambda report: to_latex(report.document),
    "html": lambda report: to_html(report.document),
    "json": lambda report: json.dumps(report.data, indent=2) + "\n",
}
"""By file name ending. The terminal format is tables/terminal.py."""
