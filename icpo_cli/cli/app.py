"""The command tree."""

from typing import Annotated

import typer

import icpo_cli
from icpo_cli.cli import ablate, bench, config, data, eval, explain, grade, model, report, runs, train, ui

app = typer.Typer(
    name="icpo",
    help="Train language models with ICPO and related methods, with every number in MLflow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take most of the time of --help
    add_completion=False,
)
app.command("train")(train.train)
app.command("eval")(eval.evaluate)
app.command("ablate")(ablate.ablate)
app.command("report", short_help="The paper's tables, or an HTML page of all runs.")(report.report)
app.command("explain", short_help="Derive a group's advantages, step by step.")(explain.explain)
app.command("grade", short_help="Grade responses, and show the rule that decided.")(grade.grade)
app.add_typer(runs.app, name="runs")
app.command("ui")(ui.ui)
app.add_typer(model.app, name="model")
app.add_typer(config.app, name="config")
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")


def _version(requested: bool) -> None:
    if requested:
        typer.echo(icpo_cli.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""
