"""Write docs/COMMANDS.md from the commands' help, CONFIG.md from the schema, BASELINES.md's table from sources.yaml."""

import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from icpo_cli.cli.app import app
from icpo_cli.config.schema import Config

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 110
COMMANDS = """# Commands

Made by `scripts/reference` from the commands' own help. What each is for, with examples: README.md, the
[tutorial](TUTORIAL.md), and the pages on [evaluation](EVALUATION.md), [studies](ABLATIONS.md), [grading](GRADING.md)
and [reports](REPORT.md).
"""
CONFIG = """# Config keys

Made by `scripts/reference` from `icpo_cli/config/schema.py`. A key is set by `key=value` on the command line or in a
YAML file, which may `include:` other files; later values replace earlier ones. `icpo config show` prints a resolved
configuration. Defaults are the paper's (Table 6); `method=NAME` sets the keys of a preset of
`icpo_cli/config/methods/`. Rules across keys, such as `learner.mini_batch_prompts`
dividing `rollout.prompts_per_iteration`, are in `icpo_cli/train/check.py`; they are checked before a run starts.
"""
SOURCES = """## Numbers and their sources

Made by `scripts/reference` from `docs/sources.yaml`; a test compares it with the resolved files. Code was read at the
commit that is named. Papers (arXiv) are quoted as noted when the files were written. "Not stated": no source that was
read states the number; the file has the default. "There" is the source.

| files | source | numbers |
|---|---|---|
"""
TABLE_HEAD = "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n"


def command_sections(command: typer.core.TyperCommand, context: typer.Context) -> Iterator[str]:
    """The help of the command and of its subcommands."""
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for name in subcommands:
        _, child, _ = command.resolve_command(context, [name])
        yield from command_sections(child, type(context)(child, info_name=name, parent=context))


def config_sections(section: Any, prefix: str = "") -> Iterator[str]:
    """A table for each section that has keys of its own, in the schema's order."""
    hints = typing.get_type_hints(section)
    rows = [_row(each, hints[each.name], prefix) for each in fields(section) if not is_dataclass(hints[each.name])]
    title = prefix.rstrip(".") or "Top level"
    if rows:
        yield f"## {title}\n\n{section.__doc__}\n\n{TABLE_HEAD}{''.join(rows)}"
    for each in fields(section):
        if is_dataclass(hints[each.name]):
            yield from config_sections(hints[each.name], f"{prefix}{each.name}.")


def _row(each: Field, hint: Any, prefix: str) -> str:
    words, allowed = _type_words(hint)
    if each.metadata["bounds"] is not None:
        allowed = str(each.metadata["bounds"])
    default = yaml.safe_dump(each.default_factory(), default_flow_style=True).removesuffix("...\n").strip()
    cells = [f"`{prefix}{each.name}`", words, f"`{default}`", allowed, each.metadata["doc"].replace("|", "\\|")]
    return f"| {' | '.join(cells)} |\n"


def _type_words(hint: Any) -> tuple[str, str]:
    """A key's type, and its allowed values if they are listed."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        words, allowed = _type_words(next(each for each in arguments if each is not type(None)))
        return f"{words} or null", allowed
    if typing.get_origin(hint) is typing.Literal:
        return "str", ", ".join(f"`{each}`" for each in arguments)
    if typing.get_origin(hint) is list:
        return f"list of {_type_words(arguments[0])[0]}", ""
    return "section" if is_dataclass(hint) or typing.get_origin(hint) is dict else hint.__name__, ""


def sources_section() -> str:
    """The table of docs/sources.yaml, under its heading."""
    rows = ""
    for pattern, sources in yaml.safe_load((DOCS / "sources.yaml").read_text(encoding="utf-8")).items():
        for source in sources:
            cells = [f"`{key}` {value}" for key, value in source["states"].items()]
            cells += [
                f"`{key}` {there} there, {here} here ({why})"
                for key, (there, here, why) in source.get("differs", {}).items()
            ]
            rows += f"| `{pattern}` | {source['source']} | {'; '.join(cells)} |\n"
    return SOURCES + rows


def main() -> None:
    root = typer.main.get_command(app)
    context = root.context_class(root, info_name="icpo", terminal_width=WIDTH, max_content_width=WIDTH)
    written = (DOCS / "BASELINES.md").read_text(encoding="utf-8")
    pages = {
        "COMMANDS.md": "\n".join([COMMANDS, *command_sections(root, context)]),
        "CONFIG.md": "\n".join([CONFIG, *config_sections(Config)]),
        "BASELINES.md": written.split(SOURCES.splitlines()[0])[0] + sources_section(),
    }
    for name, text in pages.items():
        page = DOCS / name
        if sys.argv[1:] != ["--check"]:
            page.write_text(text, encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{name} is out of date: run scripts/reference")


if __name__ == "__main__":
    main()
