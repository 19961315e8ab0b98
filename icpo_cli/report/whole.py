"""What the page of a report holds: the tables that have rows of their own, and the runs that they are from."""

from collections.abc import Sequence

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.report.find import find_run
from icpo_cli.report.page import PageTable
from icpo_cli.report.report import Report, table_report
from icpo_cli.report.results import evaluations_of
from icpo_cli.report.select import Request, Selection
from icpo_cli.tables.html import html_tables
from icpo_cli.track.read import PastRun

LEVELS = 2
"""Beneath a study: its training runs, and their evaluations."""


def tables_worth_showing(selection: Selection) -> list[int]:
    """Table 1, and of the others those that say what it does not."""
    subjects = [row.subject for row in selection.rows]
    worth = {
        1: True,
        2: any(subject.setting == "coarse" for subject in subjects),
        3: len({subject.model for subject in subjects if subject.method in ("grpo", "icpo")}) > 1,
        4: any(subject.method.startswith("icpo:") for subject in subjects),
    }
    return [number for number, shown in worth.items() if shown]


def table_reports(selection: Selection, number: int | None, errors: bool) -> list[Report]:
    """The table that was asked for, else those worth showing."""
    numbers = tables_worth_showing(selection) if number is None else [number]
    return [table_report(selection, each, errors) for each in numbers]


def page_table(report: Report) -> PageTable:
    return PageTable(report.document.title, html_tables(report.document, links=True), report.run_ids)


def has_evaluations(runs: Sequence[PastRun], request: Request) -> bool:
    """Whether there are finished evaluations to fill a table with, or some were asked for in so many words."""
    asked = bool(request.rows or request.tags)
    return asked or bool(evaluations_of(listed_runs(runs, request, ())))


def listed_runs(runs: Sequence[PastRun], request: Request, tabled: Sequence[str]) -> list[PastRun]:
    """All of the store; where the user asked for some, those, what they stand under and what stands under them.

    `tabled`: ids of the evaluations that the tables' numbers are from. Raises UserError.
    """
    if request == Request(mixed=request.mixed):
        return list(runs)
    by_id = {run.id: run for run in runs}
    kept = {*tabled, *(find_run(runs, name, "RUN").id for name in request.runs)}
    if request.experiment is not None and not request.runs:
        kept |= {run.id for run in runs if run.experiment == request.experiment}
        if not kept:
            known = nearest(request.experiment, sorted({run.experiment for run in runs}))
            raise UserError(f"--experiment {request.experiment}: has no runs{known}")
    for _ in range(LEVELS):
        kept |= {run.id for run in runs if run.parent in kept}
    for run_id in list(kept):
        above = by_id[run_id].parent
        while above in by_id:
            kept.add(above)
            above = by_id[above].parent
    return [run for run in runs if run.id in kept]
