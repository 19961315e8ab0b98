"""`icpo model`: models that icpo can build."""

from pathlib import Path
from typing import Annotated

import typer

from icpo_cli.cli.streams import Streams
from icpo_cli.config.schema import ModelConfig
from icpo_cli.models.locate import get as get_model
from icpo_cli.models.locate import is_made

app = typer.Typer(help="Models that icpo can build.", no_args_is_help=True)


@app.command("get")
def get(
    name: Annotated[
        str,
        typer.Argument(help="smollm2: SmolLM2-135M-Instruct, 269 MB. lab: the lab model, trained here in minutes."),
    ],
) -> None:
    """Build a model in the user's cache, once, and print the path of its Hugging Face folder."""
    typer.echo(_built(name))


@app.callback()
def main() -> None:
    """Keep `get` a subcommand while it is the only one."""


def make_first(model: ModelConfig) -> None:
    """Build a named model that is missing, with progress messages, before steps that would wait silently for it."""
    if not is_made(model):
        typer.echo(f"building the model {model.path}, once", err=True)
        _built(model.path)


def _built(name: str) -> Path:
    with Streams() as streams:  # keep output of the conversion libraries out of stdout
        return get_model(name, lambda text: print(text, file=streams.err, flush=True))
