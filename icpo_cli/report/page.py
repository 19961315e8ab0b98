"""The report as one HTML page without external files."""

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import icpo_cli
from icpo_cli.errors import UserError
from icpo_cli.report.curves import METRICS, Histories, ReportFigure, SettingComparison, comparisons_of
from icpo_cli.report.figures import figures_of, save_figures
from icpo_cli.report.page_data import as_script, moment, page_data
from icpo_cli.report.responses import Responses, responses_of
from icpo_cli.report.table import Report
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.tables.html import html_tables
from icpo_cli.text import visible
from icpo_cli.track.read import PastRun, RunStore

MAX_COMPARISONS = 4
RUNS_WITH_CURVES, RUNS_WITH_RESPONSES = 40, 20
INDEX, FIGURES = "index.html", "figures"
GENERATOR = '<meta name="generator" content="icpo report'
"""Near the beginning of every page that icpo wrote."""
SCRIPTS = ("elements.js", "responses.js", "runs.js")
MAX_NAMES = 12
"""Names in a list of the summary."""


def write_page(store: RunStore, runs: Sequence[PastRun], tables: Sequence[Report], folder: Path) -> Path:
    """Write FOLDER/index.html, and the figures as FOLDER/figures/NAME.pdf and .png; returns the page's path.

    `runs`: all that the page lists, newest first. An earlier page of icpo is replaced; raises UserError if FOLDER holds
    another index.html, or cannot be written.
    """
    page = folder / INDEX
    earlier = _earlier(page)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    comparisons = comparisons_of(runs)
    drawn = comparisons[:MAX_COMPARISONS]
    detailed = _detailed(runs, tables, drawn)
    histories = {run.id: store.history(run.id, [*run.metrics]) for run in detailed}
    lines = {run.id for comparison in drawn for setting in comparison.settings for run in setting.runs}
    further = {run_id: store.history(run_id, METRICS) for run_id in lines - histories.keys()}
    figures = figures_of(store, runs, drawn, histories | further)
    responses = _responses(store, detailed)
    with _writing(folder):
        pictures = _pictures(figures, folder / FIGURES)
        for stem in earlier - {figure.stem for figure in figures}:
            for kind in ("png", "pdf"):
                (folder / FIGURES / f"{stem}.{kind}").unlink(missing_ok=True)
        write_text(page, _html(runs, tables, pictures, histories, responses, comparisons), durable=False)
    return page


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns an OSError into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror}") from error


def _earlier(page: Path) -> set[str]:
    """Stems of an earlier page's figures; none without a page. Raises UserError if icpo did not write the page."""
    if not page.exists():
        return set()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = page.read_text(encoding="utf-8")
        if GENERATOR in text[:1000]:
            return set(re.findall(rf'href="{FIGURES}/([\w-]+)\.pdf"', text))
    raise UserError(f"--out {page.parent}: its {page.name} was not written by icpo report; name another folder")


def _detailed(runs: Sequence[PastRun], tables: Sequence[Report], drawn: Sequence[SettingComparison]) -> list[PastRun]:
    """Runs that the page shows in detail: the newest of each line, those of the tables and above them, the newest."""
    by_id = {run.id: run for run in runs}
    lines = [setting.runs[0].id for comparison in drawn for setting in comparison.settings]
    tabled = [run_id for table in tables for run_id in table.run_ids if run_id in by_id]
    above = [parent for run_id in tabled if (parent := by_id[run_id].parent) in by_id]
    wanted = dict.fromkeys([*lines, *tabled, *above, *by_id])
    return [by_id[run_id] for run_id in list(wanted)[:RUNS_WITH_CURVES]]


def _responses(store: RunStore, detailed: Sequence[PastRun]) -> dict[str, Responses]:
    """Responses of the first RUNS_WITH_RESPONSES runs that have some, by run."""
    found: dict[str, Responses] = {}
    for run in detailed:
        if len(found) < RUNS_WITH_RESPONSES and (responses := responses_of(store, run)):
            found[run.id] = responses
    return found


def _pictures(figures: Sequence[ReportFigure], folder: Path) -> list[dict[str, str]]:
    """Figures for the template; the source is a data URI."""
    drawn = save_figures(figures, folder) if figures else {}
    return [
        {
            "stem": figure.stem,
            "title": visible(figure.title),
            "caption": visible(figure.caption),
            "source": f"data:image/png;base64,{base64.b64encode(drawn[figure.stem]).decode()}",
        }
        for figure in figures
    ]


def _html(
    runs: Sequence[PastRun],
    tables: Sequence[Report],
    pictures: Sequence[dict[str, str]],
    histories: Histories,
    responses: Mapping[str, Responses],
    comparisons: Sequence[SettingComparison],
) -> str:
    environment = Environment(
        loader=PackageLoader("icpo_cli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _source(environment, "page.css")
    script = "".join(_source(environment, name) for name in SCRIPTS)
    documents = [table.document for table in tables]
    return environment.get_template("page.html").render(
        version=icpo_cli.__version__,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        summary=_summary(runs),
        left_out=_left_out(len(runs), len(histories), len(responses), len(comparisons)),
        tables=[{"title": each.title, "html": Markup(html_tables(each, links=True))} for each in documents],
        pictures=pictures,
        data=Markup(as_script(page_data(runs, histories, responses))),
    )


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


def _hash(source: str) -> str:
    """Hash of an inline script or style, as in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _summary(runs: Sequence[PastRun]) -> list[tuple[str, str]]:
    """Rows (name, value) of the page's summary."""
    kinds = [run.kind for run in runs]
    titles = {Kind.TRAIN: "training runs", Kind.EVAL: "evaluations", Kind.STUDY: "studies"}
    rows = [(title, f"{kinds.count(kind):,}") for kind, title in titles.items() if kind in kinds]
    for status in (Status.RUNNING, Status.FAILED, Status.STOPPED):
        count = sum(run.status is status for run in runs)
        rows += [(status.mlflow.lower(), f"{count:,}")] if count else []
    partial = sum(run.tags.get("eval.partial") == "true" for run in runs)
    rows += [("partial evaluations", f"{partial:,}")] if partial else []
    rows.append(("experiments", _some([run.experiment for run in runs])))
    if runs:
        rows.append(
            ("from", f"{moment(min(run.start_ms for run in runs))} to {moment(max(run.start_ms for run in runs))}")
        )
    return rows


def _some(names: Sequence[str]) -> str:
    known = list(dict.fromkeys(visible(name) for name in names))
    shown = ", ".join(known[:MAX_NAMES])
    return shown + (f", … ({len(known):,} in all)" if len(known) > MAX_NAMES else "")


def _left_out(runs: int, curves: int, responses: int, comparisons: int) -> list[str]:
    """Sentences on what the page does not show, from the numbers of runs, of those in detail, and of comparisons."""
    found = []
    if curves < runs:
        found.append(
            f"Of {runs:,} runs, {curves:,} have their curves here and {responses:,} some of their responses; "
            "icpo runs show RUN and icpo explain RUN show the others."
        )
    if comparisons > MAX_COMPARISONS:
        found.append(
            f"Figures over training are drawn for {MAX_COMPARISONS} of {comparisons:,} models or data sets, the "
            "newest; name runs or an experiment for others."
        )
    return found
