"""`icpo runs`: list the runs of an MLflow store, show one, compare two."""

import ast
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from icpo_cli.report.runs import (
    Pair,
    RunSummary,
    accuracy_text,
    changed_settings,
    difference,
    find_run,
    summaries,
)
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, Status
from icpo_cli.tables.document import text_table
from icpo_cli.tables.terminal import stdout_console, to_rich
from icpo_cli.text import printable
from icpo_cli.track.read import PastRun, open_store

app = typer.Typer(help="List past runs, show one, compare two.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="MLflow store: path of a database, or any MLflow URI. Default: mlflow.db here.",
    ),
]
ID_LETTERS = 8
"""Shown of a run's id in a list."""
ACCURACIES = 2
"""Shown of an evaluation in a list."""
HEADERS = ("id", "name", "kind", "method", "model", "status", "age", "iterations", "accuracy %", "")
MAX_CELL = 48
"""Characters of a cell. Longer text is cut in the middle: names differ at their ends as often as at their starts."""
RIGHT_LESS_LEFT = "right - left"
AGES = ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min"))
RUN_HELP = "Id of a run, a unique prefix of it, or a unique name."


@app.command("list")
def list_(
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this MLflow experiment.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="train|eval|study", help="Only runs of this kind.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List runs at a glance, newest first."""
    found = summaries(open_store(store).runs(), experiment, kind)
    if as_json:
        typer.echo(json.dumps({"runs": [_summary_json(summary) for summary in found]}))
        return
    _print_summaries(found)


@app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)], store: Store = None, as_json: AsJson = False
) -> None:
    """Show a run: its configuration, facts, newest metrics and artifacts."""
    opened = open_store(store)
    runs = opened.runs()
    found = find_run(runs, run, "RUN")
    [summary] = [summary for summary in summaries(runs) if summary.run is found]
    children = [each.id for each in runs if each.parent == found.id]
    artifacts = opened.artifacts(found.id)
    if as_json:
        head = {"experiment": found.experiment, "parent": found.parent, "children": children}
        config = {key: _typed(value) for key, value in found.params.items()}
        document = {"config": config, "facts": found.tags, "metrics": found.metrics, "artifacts": artifacts}
        typer.echo(json.dumps(_summary_json(summary) | head | document))
        return
    _print_run(summary, children, artifacts)
    table = opened.artifact(found.id, str(ARTIFACTS.table_file)) if found.kind is Kind.STUDY else None
    if table is not None:
        print("\n" + "\n".join(map(printable, table.read_text(encoding="utf-8").splitlines())))


@app.command("diff")
def diff(
    left: Annotated[str, typer.Argument(metavar="LEFT", help=RUN_HELP)],
    right: Annotated[str, typer.Argument(metavar="RIGHT")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Show the differences between two runs: configuration, data, code, packages, metrics."""
    runs = open_store(store).runs()
    one, other = find_run(runs, left, "LEFT"), find_run(runs, right, "RIGHT")
    found = difference(one, other)
    if as_json:
        typer.echo(json.dumps(_difference_json(one, other, found)))
        return
    _print_difference(one, other, found)


def _print_summaries(summaries: Sequence[RunSummary]) -> None:
    """Print one line for each run, for thousands of runs and for grep."""
    if not summaries:
        print("no runs; `icpo train` and `icpo eval` make them")
        return
    rows = [HEADERS, *map(_row, summaries)]
    rows = [tuple(printable(_cut(cell)) for cell in row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _print_run(summary: RunSummary, children: Sequence[str], artifacts: Sequence[str]) -> None:
    """Print everything recorded about a run, in sections."""
    run = summary.run
    head = {
        "run": run.id,
        "name": run.name,
        "kind": run.kind.value,
        "experiment": run.experiment,
        "status": _status(run),
        "started": _date(run.start_ms),
        "ended": "" if run.end_ms is None else f"{_date(run.end_ms)}, after {_span(run.end_ms - run.start_ms)}",
        "parent": run.parent or "",
        "children": ", ".join(children),
        "method": summary.method or "",
        "model": summary.model or "",
        "iterations": _iterations(summary),
        "accuracy %": accuracy_text(summary.accuracy, len(summary.accuracy)),
        "partial": "yes" if summary.partial else "",
    }
    noted = changed_settings(run)
    usual = len(run.params) - len(noted)
    note = f"{usual} more settings are the defaults of schema and method" if usual else ""
    _print_sections(
        _pairs("", [(key, value) for key, value in head.items() if value]),
        _pairs("configuration", sorted(noted.items()), note),
        _pairs("facts", sorted(run.tags.items())),
        _pairs("newest metrics", [(name, _number(value)) for name, value in sorted(run.metrics.items())]),
        _pairs("artifacts", [(name, "") for name in artifacts]),
    )


def _print_difference(left: PastRun, right: PastRun, found: dict[str, dict[str, Pair]]) -> None:
    """Print the sections in which two runs differ, then the names of those in which they are equal."""
    names = tuple(f"{run.id[:ID_LETTERS]} {_short(run.name, run)}" for run in (left, right))
    both, alone = _metrics(found["metrics"])
    rows = {
        title: [(key, *("-" if value is None else value for value in pair)) for key, pair in changed.items()]
        for title, changed in found.items()
        if title != "metrics"
    }
    tables = {title: text_table((title, *names), its) for title, its in rows.items()}
    metrics = [(name, _number(one), _number(other), f"{other - one:+.6g}") for name, (one, other) in both.items()]
    tables["metrics"] = text_table(("metrics", *names, RIGHT_LESS_LEFT), metrics, numeric=(RIGHT_LESS_LEFT,))
    equal = [title for title, table in tables.items() if not table.rows]
    notes = [Text(f"equal: {', '.join(equal)}")] if equal else []
    notes += [Text(f"{len(alone)} more metrics exist in one run only: --json shows them")] if alone else []
    _print_sections(*[to_rich(table) for table in tables.values() if table.rows], *notes)


def _metrics(pairs: dict[str, Pair]) -> tuple[dict[str, Pair], dict[str, Pair]]:
    """The metrics that both runs have, and those that one of them has."""
    both = {name: pair for name, pair in pairs.items() if None not in pair}
    return both, {name: pair for name, pair in pairs.items() if name not in both}


def _row(summary: RunSummary) -> tuple[str, ...]:
    run = summary.run
    return (
        run.id[:ID_LETTERS],
        _short(run.name, run),
        run.kind.value,
        summary.method or "-",
        _short(summary.model or "-", run),
        _status(run),
        _span(int(time.time() * 1000) - run.start_ms),
        _iterations(summary) or (f"{summary.jobs_done} jobs" if summary.jobs_done else "-"),
        accuracy_text(summary.accuracy, ACCURACIES) or "-",
        "partial" if summary.partial else "",
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL // 2 - 1]}...{text[-(MAX_CELL // 2 - 2) :]}"


def _short(name: str, run: PastRun) -> str:
    """Cut the training run's id, which is part of the names of a checkpoint and of its evaluation."""
    return name.replace(run.parent, run.parent[:ID_LETTERS]) if run.parent else name


def _iterations(summary: RunSummary) -> str:
    return "" if summary.iterations is None else "{}/{}".format(*summary.iterations)


def _pairs(title: str, rows: Sequence[tuple[str, str]], note: str = "") -> RenderableType | None:
    """A section of names and values; None if there are none."""
    if not rows:
        return None
    table = to_rich(text_table(("", ""), rows))
    table.show_header = False
    return Group(*([Text(title)] if title else []), table, *([Text(note)] if note else []))


def _print_sections(*sections: RenderableType | None) -> None:
    """Print the sections with a blank line between them."""
    console = stdout_console()
    for index, section in enumerate(section for section in sections if section is not None):
        if index:
            console.print()
        console.print(section)


def _status(run: PastRun) -> str:
    """MLflow's status, except for a run that saved after a stop request, which MLflow calls killed."""
    return "stopped" if run.status is Status.STOPPED else run.status.mlflow.lower()


def _number(value: float) -> str:
    return f"{value:.6g}"


def _date(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M:%S")


def _span(milliseconds: int) -> str:
    """A duration in its largest unit: 3 min, 5 h, 12 d."""
    seconds = max(milliseconds, 0) // 1000
    return next((f"{seconds // size} {unit}" for size, unit in AGES if seconds >= size), f"{seconds} s")


def _summary_json(summary: RunSummary) -> dict[str, Any]:
    run = summary.run
    done, planned = summary.iterations or (None, None)
    return {
        "id": run.id,
        "name": run.name,
        "kind": run.kind.value,
        "experiment": run.experiment,
        "method": summary.method,
        "model": summary.model,
        "status": run.status.mlflow,
        "started": _moment(run.start_ms),
        "ended": None if run.end_ms is None else _moment(run.end_ms),
        "iterations": done,
        "iterations_wanted": planned,
        "accuracy": summary.accuracy,
        "jobs_done": summary.jobs_done,
        "partial": summary.partial,
    }


def _difference_json(left: PastRun, right: PastRun, found: dict[str, dict[str, Pair]]) -> dict[str, Any]:
    both, alone = _metrics(found["metrics"])
    return {
        "left": left.id,
        "right": right.id,
        **found,
        "metrics": {name: {"left": a, "right": b, "difference": b - a} for name, (a, b) in both.items()},
        "left_alone": {name: a for name, (a, _) in alone.items() if a is not None},
        "right_alone": {name: b for name, (_, b) in alone.items() if b is not None},
    }


def _typed(value: str) -> Any:
    """The value of a setting, which MLflow stores as text."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
