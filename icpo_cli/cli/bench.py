"""`icpo bench`: the benchmarks, their properties, and their questions as a model sees them."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from icpo_cli.config.load import load_config, nearest
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import find, how_to_get
from icpo_cli.errors import UserError
from icpo_cli.records import Question
from icpo_cli.tables.terminal import print_table
from icpo_cli.text import printable

app = typer.Typer(help="The benchmarks, and their questions as a model sees them.", no_args_is_help=True)

Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE.yaml ...] [key=value ...]", help="eval.data_dir=DIR: where the data is."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]

NOT_SHOWN = "Its questions are not shown: its authors ask that they are not published in plain text."


@app.command("list")
def list_(settings: Settings = None, as_json: AsJson = False) -> None:
    """List the benchmarks: questions, responses per question, and whether the data is here."""
    data_dir = data_folder(settings or [])
    files = {name: find(benchmark, data_dir) for name, benchmark in BENCHMARKS.items()}
    here = {name: None if file is None else file.origin for name, file in files.items()}
    if as_json:
        facts = [_facts(benchmark, here[name]) for name, benchmark in BENCHMARKS.items()]
        typer.echo(json.dumps({"benchmarks": facts}))
        return
    rows = [
        (name, b.title, b.group, f"{b.count:,}", str(b.k), here[name] or "missing") for name, b in BENCHMARKS.items()
    ]
    print_table(("name", "title", "group", "questions", "k", "data"), rows)
    missing = [name for name, place in here.items() if place is None]
    if missing:
        typer.echo(f"missing: {', '.join(missing)}; `icpo bench show NAME` says how to get one")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A benchmark of `icpo bench list`.")],
    settings: Settings = None,
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, help="Questions to show.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show a benchmark's properties, its pitfalls, and its first questions as a model sees them."""
    if name not in BENCHMARKS:
        raise UserError(f"unknown benchmark '{name}'{nearest(name, list(BENCHMARKS))}")
    benchmark = BENCHMARKS[name]
    found = find(benchmark, data_folder(settings or []))
    questions = found.load().questions[:count] if found is not None else ()
    facts = _facts(benchmark, found.origin if found is not None else None)
    shown = [_question(benchmark, question) for question in questions]
    if as_json:
        typer.echo(json.dumps({**facts, "shown": shown}))
    else:
        _print_facts(benchmark, facts)
        for question in shown:
            _print_question(question)


def data_folder(settings: list[str]) -> Path | None:
    """eval.data_dir of the configuration that the arguments give."""
    data_dir = load_config(settings).eval.data_dir
    return None if data_dir is None else Path(data_dir).expanduser()


def _facts(benchmark: Benchmark, here: str | None) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "group": benchmark.group,
        "about": benchmark.about,
        "questions": benchmark.count,
        "k": benchmark.k,
        "version": benchmark.version,
        "answers": list(benchmark.kinds),
        "grading": {"extract": benchmark.extract, "rule": benchmark.rule},
        "licence": benchmark.licence,
        "hub": [
            {"id": s.hub.id, "file": s.hub.file, "split": s.hub.split, "revision": s.hub.revision, "gated": s.hub.gated}
            for s in benchmark.sources
            if s.hub is not None
        ],
        "pitfalls": list(benchmark.pitfalls),
        "confidential": benchmark.confidential,
        "data": here,
        "how_to_get": how_to_get(benchmark),
    }


def _question(benchmark: Benchmark, question: Question) -> dict[str, Any]:
    """A question for display; only the id for a confidential benchmark."""
    if benchmark.confidential:
        return {"id": question.id}
    kind = question.gold.kind
    return {
        "id": question.id,
        "text": question.text,
        "own_form": benchmark.own_form(question),
        "gold": question.gold.answer,
        "kind": kind.value if kind else "auto",
    }


def _print_facts(benchmark: Benchmark, facts: dict[str, Any]) -> None:
    say = typer.echo
    say(f"{benchmark.title} ({benchmark.name}): {benchmark.about}")
    say(f"  questions  {benchmark.count:,}, Avg@{benchmark.k}, group {benchmark.group}, version {benchmark.version}")
    say(f"  answers    {', '.join(benchmark.kinds)}; extract {benchmark.extract}, rule {benchmark.rule}")
    say(f"  licence    {benchmark.licence}")
    for hub in facts["hub"]:
        file = f", {hub['file']}" if hub["file"] else ""
        say(f"  hub        {hub['id']}{file}, revision {hub['revision'] or 'not pinned'}{', gated' * hub['gated']}")
    say(f"  data       {facts['data'] or 'missing: ' + facts['how_to_get']}")
    say("  pitfalls")
    for pitfall in benchmark.pitfalls:
        say(f"    - {pitfall}")
    if benchmark.confidential:
        say(f"  {NOT_SHOWN}")


def _print_question(question: dict[str, Any]) -> None:
    typer.echo(f"\n{printable(question['id'])}")
    if "text" in question:
        for line in str(question["own_form"]).split("\n"):
            typer.echo(f"  | {printable(line)}".rstrip())
        typer.echo(f"  gold: {printable(question['gold'])} ({question['kind']})")
