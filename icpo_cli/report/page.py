"""The report as one HTML page that needs nothing else."""

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import icpo_cli
from icpo_cli.errors import UserError
from icpo_cli.report.curves import METRICS
from icpo_cli.report.figure import ReportFigure
from icpo_cli.report.figures import figures_of, save_figures
from icpo_cli.report.page_data import Shown, as_script, moment, page_data
from icpo_cli.report.responses import Responses, responses_of
from icpo_cli.report.results import evaluations_of
from icpo_cli.report.settings import Comparison, comparisons_of
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.text import visible
from icpo_cli.track.read import PastRun, RunStore

MOST_COMPARISONS = 4
RUNS_WITH_CURVES, RUNS_WITH_RESPONSES = 40, 20
INDEX, FIGURES = "index.html", "figures"
OURS = '<meta name="generator" content="icpo report'
"""What a page of ours has near its beginning."""
SCRIPTS = ("elements.js", "responses.js", "runs.js")
LISTED = 12
"""Models and methods that the summary names."""


@dataclass(frozen=True)
class PageTable:
    """A table as the page shows it."""

    title: str
    html: str
    """A <table> and what belongs to it, escaped already. The page's policy forbids style attributes and handlers; its
    style sheet knows the classes best, second, number, below, note and wide. A link to #run/ID opens a run."""
    run_ids: tuple[str, ...]
    """The runs that its numbers are from: their responses and curves come first where not all have room."""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it."""

    stem: str
    title: str
    caption: str
    source: str
    """A data URI."""


def write_page(store: RunStore, runs: Sequence[PastRun], tables: Sequence[PageTable], folder: Path) -> Path:
    """FOLDER/index.html, and the figures as FOLDER/figures/NAME.pdf and .png; returns the page's path.

    `runs`: all that the page lists, newest first. A page of an earlier report is replaced; raises UserError where
    FOLDER holds an index.html that is none, or cannot be written.
    """
    page = folder / INDEX
    earlier = _earlier(page)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    comparisons = comparisons_of(runs)
    drawn = comparisons[:MOST_COMPARISONS]
    detailed = _detailed(runs, tables, drawn)
    histories = {run.id: store.history(run.id, [*run.metrics]) for run in detailed}
    lines = {run.id for comparison in drawn for setting in comparison.settings for run in setting.runs}
    further = {run_id: store.history(run_id, METRICS) for run_id in lines - histories.keys()}
    figures = figures_of(store, runs, drawn, histories | further)
    responses: dict[str, Responses] = {}
    for run in detailed:
        if len(responses) < RUNS_WITH_RESPONSES and (found := responses_of(store, run)):
            responses[run.id] = found
    shown = Shown(histories, responses)
    with _writing(folder):
        pictures = _pictures(figures, folder / FIGURES)
        for stem in earlier - {figure.stem for figure in figures}:
            for kind in ("png", "pdf"):
                (folder / FIGURES / f"{stem}.{kind}").unlink(missing_ok=True)
        write_text(page, _html(runs, tables, pictures, shown, comparisons), durable=False)
    return page


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raises UserError where it cannot be done."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror}") from error


def _earlier(page: Path) -> set[str]:
    """Stems of the figures of the page that is there; empty where none is. Raises UserError where it is not ours."""
    if not page.exists():
        return set()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = page.read_text(encoding="utf-8")
        if OURS in text[:1000]:
            return set(re.findall(rf'href="{FIGURES}/([\w-]+)\.pdf"', text))
    raise UserError(f"--out {page.parent}: its {page.name} is no page of icpo report; name another folder")


def _detailed(runs: Sequence[PastRun], tables: Sequence[PageTable], drawn: Sequence[Comparison]) -> list[PastRun]:
    """The newest run of each line that is drawn, those of the tables with the runs above them, then the newest."""
    by_id = {run.id: run for run in runs}
    lines = [setting.runs[0].id for comparison in drawn for setting in comparison.settings]
    tabled = [run_id for table in tables for run_id in table.run_ids if run_id in by_id]
    above = [parent for run_id in tabled if (parent := by_id[run_id].parent) in by_id]
    wanted = dict.fromkeys([*lines, *tabled, *above, *by_id])
    return [by_id[run_id] for run_id in list(wanted)[:RUNS_WITH_CURVES]]


def _pictures(figures: Sequence[ReportFigure], folder: Path) -> list[Picture]:
    drawn = save_figures(figures, folder) if figures else {}
    return [
        Picture(
            stem=figure.stem,
            title=visible(figure.title),
            caption=visible(figure.caption),
            source=f"data:image/png;base64,{base64.b64encode(drawn[figure.stem]).decode()}",
        )
        for figure in figures
    ]


def _html(
    runs: Sequence[PastRun],
    tables: Sequence[PageTable],
    pictures: Sequence[Picture],
    shown: Shown,
    comparisons: Sequence[Comparison],
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
    return environment.get_template("page.html").render(
        version=icpo_cli.__version__,
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        summary=_summary(runs),
        left_out=_left_out(runs, shown, comparisons),
        tables=[{"title": table.title, "html": Markup(table.html)} for table in tables],
        pictures=pictures,
        data=Markup(as_script(page_data(runs, evaluations_of(runs), shown))),
    )


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, name)[0]


def _hash(source: str) -> str:
    """As a Content-Security-Policy names an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _summary(runs: Sequence[PastRun]) -> list[tuple[str, str]]:
    """(what, how much), for a reader's first look."""
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
    shown = ", ".join(known[:LISTED])
    return shown + (f", … ({len(known):,} in all)" if len(known) > LISTED else "")


def _left_out(runs: Sequence[PastRun], shown: Shown, comparisons: Sequence[Comparison]) -> list[str]:
    """What the page does not show, a sentence each."""
    found = []
    if len(shown.histories) < len(runs):
        found.append(
            f"Of {len(runs):,} runs, {len(shown.histories):,} have their curves here and {len(shown.responses):,} some "
            "of their responses; icpo runs show RUN and icpo explain RUN show the others."
        )
    if len(comparisons) > MOST_COMPARISONS:
        found.append(
            f"Figures over training are drawn for {MOST_COMPARISONS} of {len(comparisons):,} models or data sets, the "
            "newest; name runs or an experiment for others."
        )
    return found
