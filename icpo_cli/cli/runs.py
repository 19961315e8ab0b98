"""`icpo runs`: list the runs of an MLflow store, show one, compare two."""

import ast
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from icpo_cli.report.runs import RunDifference, RunSummary
    from icpo_cli.track.read import PastRun

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
RUN_HELP = "Id of a run, a unique prefix of it, or a unique name."


@app.command("list")
def list_(
    experiment: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this MLflow experiment.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="train|eval|study", help="Only runs of this kind.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List runs at a glance, newest first."""
    from icpo_cli.report.runs import summaries
    from icpo_cli.track.read import open_store

    found = summaries(open_store(store).runs(), experiment, kind)
    if as_json:
        typer.echo(json.dumps({"runs": [_summary_json(summary) for summary in found]}))
        return
    from icpo_cli.cli.runs_display import print_summaries

    print_summaries(found)


@app.command("show")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)], store: Store = None, as_json: AsJson = False
) -> None:
    """Show a run: its configuration, facts, newest metrics and artifacts."""
    from icpo_cli.report.runs import find_run, summaries
    from icpo_cli.runs.run_dir import ARTIFACTS, Kind
    from icpo_cli.track.read import open_store

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
    from icpo_cli.cli.runs_display import print_run, print_text

    print_run(summary, children, artifacts)
    table = opened.artifact(found.id, str(ARTIFACTS.table_file)) if found.kind is Kind.STUDY else None
    if table is not None:
        print_text(table.read_text(encoding="utf-8"))


@app.command("diff")
def diff(
    left: Annotated[str, typer.Argument(metavar="LEFT", help=RUN_HELP)],
    right: Annotated[str, typer.Argument(metavar="RIGHT")],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Show the differences between two runs: configuration, data, code, packages, metrics."""
    from icpo_cli.report.runs import difference, find_run
    from icpo_cli.track.read import open_store

    runs = open_store(store).runs()
    one, other = find_run(runs, left, "LEFT"), find_run(runs, right, "RIGHT")
    found = difference(one, other)
    if as_json:
        typer.echo(json.dumps(_difference_json(one, other, found)))
        return
    from icpo_cli.cli.runs_display import print_difference

    print_difference(one, other, found)


def _summary_json(summary: "RunSummary") -> dict[str, Any]:
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


def _difference_json(left: "PastRun", right: "PastRun", found: "RunDifference") -> dict[str, Any]:
    metrics = {name: {"left": a, "right": b, "difference": b - a} for name, (a, b) in found.metrics.items()}
    return {
        "left": left.id,
        "right": right.id,
        **found.sections,
        "metrics": metrics,
        "left_alone": found.left_alone,
        "right_alone": found.right_alone,
    }


def _typed(value: str) -> Any:
    """The value of a setting, which MLflow stores as text."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
