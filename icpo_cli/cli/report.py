"""`icpo report`: finished evaluations as the paper's tables, compared with a baseline, or as an HTML page."""

from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from icpo_cli.cli.runs import Store
from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.report.accuracy_table import accuracy_table, accuracy_tables
from icpo_cli.report.layouts import LAYOUTS
from icpo_cli.report.paper import paper_rows, read_table
from icpo_cli.report.select import ReportRequest, Selection, has_evaluations, listed_runs, read_rows, select
from icpo_cli.runs.files import write_text
from icpo_cli.tables.document import Document
from icpo_cli.tables.formats import FORMATS
from icpo_cli.tables.terminal import print_document, stdout_console
from icpo_cli.track.read import RunStore, open_store

RICH = "rich"


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN ...]", help="Evaluations, training runs or studies. None: all runs of the store."),
    ] = None,
    table: Annotated[
        int | None, typer.Option(metavar="1|2|3|4", help="Layout of that table of the paper. Default: 1.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="paper|FILE.csv", help="Compare with a baseline, with intervals.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="rich, md, csv, tex, html or json.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A file; or, without --format, a folder for the HTML page with figures."),
    ] = None,
    stderr: Annotated[bool, typer.Option("--stderr", help="Show standard errors.")] = False,
    experiment: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only evaluations of this MLflow experiment.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only evaluations with this tag, or whose training run has it."),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="A file of rows: [{family, model, method, run}].")
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Also show numbers of other graders and data, marked.")
    ] = False,
    store: Store = None,
) -> None:
    """Show finished evaluations as the paper's tables, or compare them with the paper's."""
    kind = _format(format_, out)
    if table is not None and table not in LAYOUTS:
        raise UserError(f"--table: {table}: no such table; allowed: {', '.join(map(str, LAYOUTS))}")
    request = _request(runs or [], rows, experiment, tag or [], mixed)
    opened = open_store(store)
    if kind is None and out is not None:
        _write_page(opened, request, table, against, stderr, out)
        return
    selection = select(opened.runs(), request)
    found = _baseline_report(selection, against, table) if against else accuracy_table(selection, table or 1, stderr)
    _print(found, kind or RICH, out)


def _format(name: str | None, out: Path | None) -> str | None:
    """Format that --format, else the ending of --out, names; None if neither does. Raises UserError."""
    if name is not None and name not in (RICH, *FORMATS):
        raise UserError(f"--format: unknown format '{name}'{nearest(name, [RICH, *FORMATS])}")
    if name is None and out is not None:
        ending = out.suffix.removeprefix(".")
        if ending and ending not in ("txt", *FORMATS) and not out.is_dir():
            raise UserError(f"--out {out}: unknown ending '.{ending}'{nearest(ending, ['txt', *FORMATS])}")
        return RICH if ending == "txt" else ending if ending in FORMATS else None
    return name


def _request(runs: list[str], rows: Path | None, experiment: str | None, tags: list[str], mixed: bool) -> ReportRequest:
    if runs and rows is not None:
        raise UserError("--rows: not together with RUN: the file names its runs")
    pairs = [tag.partition("=") for tag in tags]
    for tag, (key, equals, _) in zip(tags, pairs, strict=True):
        if not key or not equals:
            raise UserError(f"--tag {tag}: must be KEY=VALUE")
    return ReportRequest(
        runs=tuple(runs),
        rows=read_rows(rows) if rows is not None else (),
        experiment=experiment,
        tags={key: value for key, _, value in pairs},
        mixed=mixed,
    )


def _baseline_report(selection: Selection, name: str, number: int | None) -> Document:
    """Report against all tables of the baseline, or against the requested one."""
    from icpo_cli.report.baseline import baseline_report

    if name != "paper" and not Path(name).exists():
        raise UserError(f"--against {name}: no such file, and not 'paper'")
    baseline = paper_rows() if name == "paper" else read_table(Path(name))
    if number is not None and any(row.table for row in baseline):
        baseline = tuple(row for row in baseline if row.table == f"table{number}")
        if not baseline:
            raise UserError(f"--table {number}: {name} has no rows whose table is 'table{number}'")
    return baseline_report(selection, baseline, name)


def _write_page(
    store: RunStore, request: ReportRequest, number: int | None, against: str | None, stderr: bool, folder: Path
) -> None:
    """Write the HTML page; without evaluations it has no tables."""
    from icpo_cli.report.page import study_tables, write_page

    runs = store.runs()
    tables: list[Document] = []
    tabled: tuple[str, ...] = ()
    if has_evaluations(runs, request):
        selection = select(runs, request)
        tables = accuracy_tables(selection, number, stderr)
        tables += [_baseline_report(selection, against, number)] if against else []
        tabled = selection.run_ids
    listed = listed_runs(runs, request, tabled)
    path = write_page(store, listed, [*tables, *study_tables(store, listed)], folder)
    typer.echo(str(path))


def _print(document: Document, kind: str, out: Path | None) -> None:
    if kind != RICH:
        text = FORMATS[kind](document)
        if out is None:
            typer.echo(text, nl=False)
        else:
            _write(out, text)
        return
    if out is None:
        print_document(document, stdout_console())
        return
    plain = StringIO()
    print_document(document, Console(file=plain, width=160, highlight=False))
    _write(out, plain.getvalue())


def _write(path: Path, text: str) -> None:
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; name a file, or leave --format out for the page")
    try:
        write_text(path, text, durable=False)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror}") from None
    typer.echo(str(path))
