"""Data of the page's script: every run, with curves and responses of the detailed ones."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from icpo_cli.curves import History
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.report import names
from icpo_cli.report.curves import Histories
from icpo_cli.report.responses import Responses, spread
from icpo_cli.report.results import MEANS, TITLES, ModelVariant, evaluations_of
from icpo_cli.runs.run_dir import Kind
from icpo_cli.text import shortened, visible
from icpo_cli.track.read import PastRun

POINTS_A_CURVE = 80
LONGEST_VALUE = 1000
"""Characters of a parameter or fact that are shown."""


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
                "accuracy": accuracy_of(run),
                "config": _own(run.params, config),
                "facts": _own(run.tags, facts),
                "metrics": {visible(name): _short(value) for name, value in sorted(run.metrics.items())},
                "curves": _curves(histories.get(run.id, {})),
                **_responses(responses.get(run.id)),
            }
        )
    return {"common": {"config": _visible(config), "facts": _visible(facts)}, "runs": listed}


def as_script(document: dict[str, Any]) -> str:
    """JSON for a <script> element: every `<` is escaped, so nothing ends the element."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def accuracy_of(run: PastRun) -> str:
    """Latest accuracy in words; empty without one."""
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


def _responses(responses: Responses | None) -> dict[str, Any]:
    if responses is None:
        return {"responses": [], "note": ""}
    rows = [
        {name: _short(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in responses.rows
    ]
    return {"responses": rows, "note": responses.note}
