"""`icpo config`: print and compare resolved configurations."""

from typing import Annotated

import typer

from icpo_cli.config.load import diff as differences
from icpo_cli.config.load import load_config, load_training, to_yaml
from icpo_cli.errors import UserError
from icpo_cli.tables.terminal import print_table
from icpo_cli.train.check import check

app = typer.Typer(help="Print and compare resolved configurations.", no_args_is_help=True)


@app.command("show")
def show(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.yaml ...] [key=value ...]", help="Without a file: over the quickstart."),
    ] = None,
) -> None:
    """Print the configuration that `icpo train` resolves from these arguments, with all defaults."""
    config = load_training(settings or [])
    typer.echo(to_yaml(config), nl=False)
    try:
        check(config)
    except UserError as error:
        typer.echo(f"icpo train rejects this: {error}", err=True)


@app.command("diff")
def diff(
    left: Annotated[str, typer.Argument(metavar="LEFT", help="FILE.yaml, or key=value such as method=grpo.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT")],
    shared: Annotated[list[str] | None, typer.Argument(metavar="[key=value ...]", help="Keys set in both.")] = None,
) -> None:
    """Print the keys in which two configurations differ; nothing if they are equal."""
    changed = differences(load_config([left, *(shared or [])]), load_config([right, *(shared or [])]))
    if changed:
        print_table(("key", left, right), [(key, str(old), str(new)) for key, (old, new) in changed.items()])
