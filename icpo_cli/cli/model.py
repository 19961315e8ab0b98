"""`icpo model`: models that icpo knows how to get."""

from typing import Annotated

import typer

app = typer.Typer(help="Models that icpo knows how to get.", no_args_is_help=True)


@app.command("get")
def get(
    name: Annotated[
        str,
        typer.Argument(help="smollm2: SmolLM2-135M-Instruct, 269 MB. lab: the laboratory's, trained here in minutes."),
    ],
) -> None:
    """Make a Hugging Face folder of a known model in the user's cache, once, and print its path."""
    from icpo_cli.cli.streams import Streams
    from icpo_cli.model import get as get_model

    with Streams() as streams:  # the libraries that convert the weights are not to write into the answer
        folder = get_model(name, lambda text: print(text, file=streams.err, flush=True))
    typer.echo(folder)


@app.callback()
def main() -> None:
    """Keeps `get` a subcommand while it is the only one."""
