"""The report as one HTML page without external files."""

import base64
import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

import icpo_cli
from icpo_cli.errors import UserError
from icpo_cli.figures import History
from icpo_cli.report import names
from icpo_cli.report.curves import METRICS, Histories, ReportFigure, SettingComparison, comparisons_of
from icpo_cli.report.figures import figures_of, save_figures
from icpo_cli.report.responses import Responses, responses_of, spread
from icpo_cli.report.results import MEANS, ModelVariant, evaluations_of
from icpo_cli.report.runs import accuracy_of, accuracy_text
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, Status
from icpo_cli.tables.document import Document, text_table
from icpo_cli.tables.formats import html_environment, html_tables, policy_hash, source_of
from icpo_cli.text import shortened, some, visible
from icpo_cli.track.read import PastRun, RunStore

MAX_COMPARISONS = 4
RUNS_WITH_CURVES, RUNS_WITH_RESPONSES = 40, 20
INDEX, FIGURES = "index.html", "figures"
GENERATOR = '<meta name="generator" content="icpo report'
"""Near the beginning of every page that icpo wrote."""
SCRIPTS = ("elements.js", "responses.js", "runs.js")
MAX_NAMES = 12
"""Names in a list of the summary."""
MAX_STUDIES = 8
POINTS_A_CURVE = 80
LONGEST_VALUE = 1000
"""Characters of a parameter or fact that are shown."""


def write_page(store: RunStore, runs: Sequence[PastRun], tables: Sequence[Document], folder: Path) -> Path:
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
    lines = {run.id for comparison in drawn for run in comparison.runs}
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


def study_tables(store: RunStore, runs: Sequence[PastRun]) -> Iterator[Document]:
    """Result tables of the newest studies among `runs` that have one."""
    studies = [run for run in runs if run.kind is Kind.STUDY][:MAX_STUDIES]
    for run in studies:
        path = store.artifact(run.id, str(ARTIFACTS.result_file))
        table = None if path is None else json.loads(path.read_text(encoding="utf-8")).get("table")
        if table is not None:
            shown = text_table(table["columns"], table["rows"], title=run.name)
            yield Document(f"Study {run.name}", (shown,), tuple(table["notes"]))


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


def _detailed(runs: Sequence[PastRun], tables: Sequence[Document], drawn: Sequence[SettingComparison]) -> list[PastRun]:
    """Runs that the page shows in detail: the newest of each line, those of the tables and above them, the newest."""
    by_id = {run.id: run for run in runs}
    lines = [runs[0].id for comparison in drawn for runs in comparison.settings.values()]
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
            "title": figure.title,
            "caption": figure.caption,
            "source": f"data:image/png;base64,{base64.b64encode(drawn[figure.stem]).decode()}",
        }
        for figure in figures
    ]


def _html(
    runs: Sequence[PastRun],
    tables: Sequence[Document],
    pictures: Sequence[dict[str, str]],
    histories: Histories,
    responses: Mapping[str, Responses],
    comparisons: Sequence[SettingComparison],
) -> str:
    templates = html_environment("icpo_cli.report", visible)
    style = source_of(templates, "page.css")
    script = Markup("").join(source_of(templates, name) for name in SCRIPTS)
    return templates.get_template("page.html").render(
        version=icpo_cli.__version__,
        style=style,
        style_hash=policy_hash(style),
        script=script,
        script_hash=policy_hash(script),
        summary=_summary(runs),
        left_out=_left_out(len(runs), len(histories), len(responses), len(comparisons)),
        tables=[{"title": each.title, "html": html_tables(each, links=True)} for each in tables],
        pictures=pictures,
        data=Markup(as_script(page_data(runs, histories, responses))),
    )


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
    rows.append(("experiments", some(list(dict.fromkeys(run.experiment for run in runs)), MAX_NAMES)))
    if runs:
        rows.append(
            ("from", f"{moment(min(run.start_ms for run in runs))} to {moment(max(run.start_ms for run in runs))}")
        )
    return rows


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


def page_data(runs: Sequence[PastRun], histories: Histories, responses: Mapping[str, Responses]) -> dict[str, Any]:
    """{"common": settings and facts that most runs have, "runs": [...]}.

    A run holds the values in which it differs from "common"; null if it has none.
    """
    config = _common([run.params for run in runs])
    facts = _common([run.tags for run in runs])
    variants = {evaluation.run.id: evaluation.variant for evaluation in evaluations_of(runs)}
    listed = []
    for run in runs:
        model, method = _model_and_method(run, variants.get(run.id))
        listed.append(
            {
                "id": run.id,
                "name": visible(run.name),
                "kind": run.kind.value,
                "status": run.status.mlflow,
                "parent": run.parent,
                "started": moment(run.start_ms),
                "seconds": None if run.end_ms is None else round((run.end_ms - run.start_ms) / 1000),
                "model": visible(model),
                "method": visible(method),
                "accuracy": _accuracy(run),
                "config": _own(run.params, config),
                "facts": _own(run.tags, facts),
                "metrics": {visible(name): _short(value) for name, value in sorted(run.metrics.items())},
                "curves": _curves(histories.get(run.id, {})),
                **_responses_data(responses.get(run.id)),
            }
        )
    return {"common": {"config": _visible(config), "facts": _visible(facts)}, "runs": listed}


def as_script(document: dict[str, Any]) -> str:
    """JSON for a <script> element: every `<` is escaped, so nothing ends the element."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _accuracy(run: PastRun) -> str:
    accuracy = accuracy_of(run)
    shown = {name: value for name, value in accuracy.items() if name in MEANS} or accuracy
    return accuracy_text(shown, len(shown)) + (" (partial)" if run.tags.get("eval.partial") == "true" else "")


def _common(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Values that more than half of the tables have."""
    counts = Counter(item for table in tables for item in table.items())
    return {key: value for (key, value), count in counts.items() if 2 * count > len(tables)}


def _own(table: Mapping[str, str], common: Mapping[str, str]) -> dict[str, str | None]:
    own = {key: value for key, value in table.items() if common.get(key) != value}
    return {**_visible(own), **{visible(key): None for key in common if key not in table}}


def _visible(table: Mapping[str, str]) -> dict[str, str]:
    return {visible(key): visible(shortened(value, LONGEST_VALUE, 0)) for key, value in table.items()}


def _model_and_method(run: PastRun, variant: ModelVariant | None) -> tuple[str, str]:
    """Model and method, for an evaluation as the tables have them; a study has several, which its runs name."""
    if variant is not None:
        return variant.model, names.method_title(variant.method)
    if run.kind is not Kind.TRAIN:
        return run.tags.get("model.name", ""), ""
    return names.model_title(run.params.get("model.path", "")), names.method_title(run.params.get("method.name", ""))


def _curves(history: History) -> dict[str, list[list[float]]]:
    """{metric: [steps, values]} of the metrics with more than one point."""
    return {
        visible(name): [[points[at][0] for at in shown], [_short(points[at][1]) for at in shown]]
        for name, points in sorted(history.items())
        if len(points) > 1
        for shown in (spread(len(points), POINTS_A_CURVE),)
    }


def _short(value: float) -> float:
    """Six significant digits, to keep the page small."""
    return float(f"{value:.6g}")


def _responses_data(responses: Responses | None) -> dict[str, Any]:
    if responses is None:
        return {"responses": [], "note": ""}
    rows = [
        {name: _short(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in responses.rows
    ]
    return {"responses": rows, "note": responses.note}
