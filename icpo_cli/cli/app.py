"""The command tree. The module of a command is imported when the command is called, so `icpo --help` needs none."""

import pkgutil
from typing import Annotated, Any

import typer

import icpo_cli

COMMANDS = {
    "train": ("train:train", "Train a model."),
    "eval": ("eval:evaluate", "Evaluate a model on benchmarks."),
    "ablate": ("ablate:ablate", "Compare configurations over seeds."),
    "report": ("report:report", "The paper's tables, or an HTML page of all runs."),
    "explain": ("explain:explain", "Derive a group's advantages, step by step."),
    "grade": ("grade:grade", "Grade responses, and show the rule that decided."),
    "ui": ("ui:ui", "Open MLflow's web interface on the store."),
    "doctor": ("doctor:doctor", "Check this machine before a run."),
    "runs": ("runs:app", "List past runs, show one, compare two."),
    "model": ("model:app", "Models that icpo can build."),
    "config": ("config:app", "Print and compare resolved configurations."),
    "bench": ("bench:app", "The benchmarks, and their questions as a model sees them."),
    "data": ("data:app", "Data sets: list, fetch and check."),
}
"""By name: a function, or the Typer of several, and the line in the list of commands."""


class Commands(typer.core.TyperGroup):
    """The commands by name and line of help; the one that is called is imported."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: typer.core.TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and command(name or ""), rest


def command(name: str) -> Any:
    """The command itself, with its options or subcommands."""
    target = pkgutil.resolve_name(f"icpo_cli.cli.{COMMANDS[name][0]}")
    holder = _typer()
    if isinstance(target, typer.Typer):
        holder.add_typer(target, name=name)
        return typer.main.get_group(holder).commands[name]
    holder.command(name)(target)
    return typer.main.get_command(holder)


def _typer(**settings: Any) -> typer.Typer:
    """Without rich: importing it would take most of the time of --help."""
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False, **settings)


app = _typer(
    name="icpo",
    cls=Commands,
    help="Train language models with ICPO and related methods, with every number in MLflow.",
    no_args_is_help=True,
)


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
