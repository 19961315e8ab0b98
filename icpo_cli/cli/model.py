"""`icpo model`: models that icpo knows how to get."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from icpo_cli.config.schema import ModelConfig

app = typer.Typer(help="Models that icpo knows how to get.", no_args_is_help=True)


@app.command("get")
def get(
    name: Annotated[
        str,
        typer.Argument(help="smollm2: SmolLM2-135M-Instruct, 269 MB. lab: the laboratory's, trained here in minutes."),
    ],
) -> None:
    """Make a Hugging Face folder of a known model in the user's cache, once, and print its path."""
    typer.echo(_got(name))


@app.callback()
def main() -> None:
    """Keeps `get` a subcommand while it is the only one."""


def make_first(model: "ModelConfig") -> None:
    """Make a named model that is not here yet, telling how far it is, before all that would wait for it in silence."""
    from icpo_cli.models.locate import is_made

    if not is_made(model):
        typer.echo(f"making the model {model.path}, once", err=True)
        _got(model.path)


def _got(name: str) -> Path:
    from icpo_cli.cli.streams import Streams
    from icpo_cli.models.locate import get as get_model

    with Streams() as streams:  # the libraries that convert the weights are not to write into the answer
        return get_model(name, lambda text: print(text, file=streams.err, flush=True))
