"""docs/COMMANDS.md: what `--help` says of every command."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from icpo_cli.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "COMMANDS.md"
WIDTH = 110
HEAD = """# Commands

Made by `scripts/command_reference` from the commands' own help. What each is for, with examples: README.md, the
[tutorial](TUTORIAL.md), and the pages on [evaluation](EVALUATION.md), [studies](ABLATIONS.md), [grading](GRADING.md)
and [reports](REPORT.md).
"""


def sections(command: typer.core.TyperCommand, context: typer.Context) -> Iterator[str]:
    """The command's own and those of the commands beneath it."""
    beneath = getattr(command, "commands", {})
    if not beneath:
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for name, child in beneath.items():
        yield from sections(child, type(context)(child, info_name=name, parent=context))


def main() -> None:
    root = typer.main.get_command(app)
    context = root.context_class(root, info_name="icpo", terminal_width=WIDTH, max_content_width=WIDTH)
    text = "\n".join([HEAD, *sections(root, context)])
    if sys.argv[1:] == ["--check"]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE.name} is not what the commands say: run scripts/command_reference")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
