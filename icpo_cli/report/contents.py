"""Contents of the report page: tables with rows of their own, outcomes of studies, and the runs that it lists."""

import json
from collections.abc import Iterator, Sequence

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.report.results import evaluations_of
from icpo_cli.report.runs import find_run
from icpo_cli.report.select import ReportRequest, Selection
from icpo_cli.report.table import Report, table_report
from icpo_cli.runs.run_dir import ARTIFACTS, Kind
from icpo_cli.tables.table import Document, text_table
from icpo_cli.track.read import PastRun, RunStore

LEVELS = 2
"""Below a study: its training runs, and their evaluations."""
MAX_STUDIES = 8


def table_reports(selection: Selection, number: int | None, errors: bool) -> list[Report]:
    """The requested table, else Table 1 and those of the others that show something it does not."""
    variants = [row.variant for row in selection.rows]
    shown = {
        1: True,
        2: any(variant.setting == "coarse" for variant in variants),
        3: len({variant.model for variant in variants if variant.method in ("grpo", "icpo")}) > 1,
        4: any(variant.method.startswith("icpo:") for variant in variants),
    }
    numbers = [each for each in shown if shown[each]] if number is None else [number]
    return [table_report(selection, each, errors) for each in numbers]


def study_reports(store: RunStore, runs: Sequence[PastRun]) -> Iterator[Report]:
    """Outcomes of the newest studies among `runs` that have one."""
    studies = [run for run in runs if run.kind is Kind.STUDY][:MAX_STUDIES]
    for run in studies:
        path = store.artifact(run.id, str(ARTIFACTS.result_file))
        table = None if path is None else json.loads(path.read_text(encoding="utf-8")).get("table")
        if table is not None:
            shown = text_table(table["columns"], table["rows"], title=run.name)
            yield Report(Document(f"Study {run.name}", (shown,), tuple(table["notes"])))


def has_evaluations(runs: Sequence[PastRun], request: ReportRequest) -> bool:
    """Whether there are finished evaluations for a table, or the user asked for some explicitly."""
    return bool(request.rows or request.tags or evaluations_of(listed_runs(runs, request, ())))


def listed_runs(runs: Sequence[PastRun], request: ReportRequest, tabled: Sequence[str]) -> list[PastRun]:
    """The whole store, or the requested runs with all runs above and below them.

    `tabled`: ids of the evaluations in the tables. Raises UserError.
    """
    if request == ReportRequest(mixed=request.mixed):
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
