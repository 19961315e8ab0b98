"""What the page's script shows: every run, with curves and responses of those that there is room for."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.report import names
from icpo_cli.report.figure import Histories
from icpo_cli.report.responses import Responses, spread
from icpo_cli.report.results import MEANS, TITLES, Evaluation, Subject
from icpo_cli.runs.run_dir import Kind
from icpo_cli.text import shortened, visible
from icpo_cli.track.read import PastRun, Points

POINTS_A_CURVE = 80
LONGEST_VALUE = 1000
"""Letters of a parameter or fact that are shown."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """What the page holds of runs beside their configuration and latest metrics."""

    histories: Histories
    responses: Mapping[str, Responses]


def page_data(runs: Sequence[PastRun], evaluations: Sequence[Evaluation], shown: Shown) -> Document:
    """{"common": what most runs have, "runs": [...]}. A run names what it has otherwise; null: it has not got it."""
    config = _common([run.params for run in runs])
    facts = _common([run.tags for run in runs])
    subjects = {evaluation.run.id: evaluation.subject for evaluation in evaluations}
    listed = []
    for run in runs:
        model, method = _subject(run, subjects.get(run.id))
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
                "accuracy": accuracy_of(run),
                "config": _otherwise(run.params, config),
                "facts": _otherwise(run.tags, facts),
                "metrics": {visible(name): _short(value) for name, value in sorted(run.metrics.items())},
                "curves": _curves(shown.histories.get(run.id, {})),
                **_responses(shown.responses.get(run.id)),
            }
        )
    return {"common": {"config": _visible(config), "facts": _visible(facts)}, "runs": listed}


def as_script(document: Document) -> str:
    """JSON that may stand in a <script>: no `<` can end it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def accuracy_of(run: PastRun) -> str:
    """The newest there is, in words; empty where there is none."""
    scores = {
        name.split("/")[1]: value
        for name, value in run.metrics.items()
        if name.startswith("eval/") and name.endswith("/avg_at_k")
    }
    if run.kind is Kind.TRAIN:
        if "heldout" in scores:
            return f"{scores['heldout']:.1f} held-out"
        return f"{100 * run.metrics['accuracy']:.1f} training" if "accuracy" in run.metrics else ""
    groups = [group for group in MEANS if group in scores]
    shown = groups or [bench for bench in BENCHMARKS if bench in scores]
    texts = [f"{scores[name]:.1f} {TITLES[name]}" for name in shown]
    return ", ".join(texts) + (" (partial)" if run.tags.get("eval.partial") == "true" else "")


def moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _common(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The values that more than half of them have."""
    counts = Counter(item for table in tables for item in table.items())
    return {key: value for (key, value), count in counts.items() if 2 * count > len(tables)}


def _otherwise(table: Mapping[str, str], common: Mapping[str, str]) -> dict[str, str | None]:
    own = {key: value for key, value in table.items() if common.get(key) != value}
    return {**_visible(own), **{visible(key): None for key in common if key not in table}}


def _visible(table: Mapping[str, str]) -> dict[str, str]:
    return {visible(key): visible(shortened(value, LONGEST_VALUE, 0)) for key, value in table.items()}


def _subject(run: PastRun, subject: Subject | None) -> tuple[str, str]:
    """Model and method, an evaluation's as the tables have them. A study has several, which its runs name."""
    if subject is not None:
        return subject.model, names.method_title(subject.method)
    if run.kind is not Kind.TRAIN:
        return run.tags.get("model.name", ""), ""
    return names.model_title(run.params.get("model.path", "")), names.method_title(run.params.get("method.name", ""))


def _curves(history: Mapping[str, Points]) -> dict[str, list[list[float]]]:
    """{metric: [steps, values]} of those with more than one point."""
    return {
        visible(name): [[points[place][0] for place in places], [_short(points[place][1]) for place in places]]
        for name, points in sorted(history.items())
        if len(points) > 1
        for places in (spread(len(points), POINTS_A_CURVE),)
    }


def _short(value: float) -> float:
    """To six figures, which is what a reader can use and a page has room for."""
    return float(f"{value:.6g}")


def _responses(responses: Responses | None) -> Document:
    if responses is None:
        return {"responses": [], "note": ""}
    rows = [
        {name: _short(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in responses.rows
    ]
    return {"responses": rows, "note": responses.note}
