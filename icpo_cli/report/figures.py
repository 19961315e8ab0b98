"""All figures of a report and their files; here those of responses: log-probabilities, confidence, verdicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from icpo_cli import figures
from icpo_cli.figures import Line, Panel, Stack
from icpo_cli.records import VerdictKind
from icpo_cli.report import names
from icpo_cli.report.curves import Histories, ReportFigure, SettingComparison, curve_figures
from icpo_cli.report.responses import Confidences, confidences_of
from icpo_cli.report.results import PastEvaluation, evaluations_of
from icpo_cli.track.read import PastRun, RunStore

PANELS = 3
"""Runs whose responses are shown side by side."""
BINS = 15
ROUNDING = 1e-6
MAX_BARS = 12
CORRECT, WRONG = VerdictKind.CORRECT.value, VerdictKind.WRONG.value
LOOKS = {kind.value: look for look, kind in enumerate(VerdictKind, 1)}
"""Look of each verdict in all figures; 0, black, is not used."""
IN_WORDS = {kind.value: kind.value.replace("_", " ") for kind in VerdictKind}
MIN_RESPONSES_A_POINT, MAX_POINTS = 20, 10
"""Limits of a calibration curve."""


Labelled = tuple[str, Confidences]
"""A run's label and responses."""


def figures_of(
    store: RunStore, runs: Sequence[PastRun], comparisons: Sequence[SettingComparison], histories: Histories
) -> list[ReportFigure]:
    """All figures that have something to draw. `runs`: newest first; `histories`: of all runs in the comparisons."""
    evaluations = evaluations_of(runs)
    found = list(curve_figures(comparisons, runs, histories))
    found += response_figures(store, comparisons, evaluations)
    verdicts = verdict_figure(comparisons, evaluations)
    return [*found, verdicts] if verdicts else found


def save_figures(drawn: Sequence[ReportFigure], folder: Path) -> dict[str, bytes]:
    """Write FOLDER/STEM.pdf and STEM.png of each; returns each PNG by its stem."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for each in drawn:
        png, _ = figures.save(figures.draw(each.panels, each.caption), folder / each.stem)
        pictures[each.stem] = png.read_bytes()
    return pictures


def response_figures(
    store: RunStore, comparisons: Sequence[SettingComparison], evaluations: Sequence[PastEvaluation]
) -> Iterator[ReportFigure]:
    """Figures of the newest runs whose responses can be read."""
    trained = _sources(store, _trained(comparisons))
    if trained:
        yield ReportFigure(
            "logprobs",
            "Log-probabilities of the responses of a batch, by group",
            "Each point is a response: the log of its mean token probability. The last stored iteration of each run.",
            [_scatter(source) for source in trained],
        )
    evaluated = _sources(store, _evaluated(evaluations))
    for stem, what, sources in (
        ("confidence-training", "in the last stored iteration", trained),
        ("confidence-evaluation", "in evaluations", evaluated),
    ):
        if sources:
            yield ReportFigure(
                stem,
                f"Confidence of right and wrong responses {what}",
                "Share of the right and of the wrong responses by mean token probability.",
                [_histogram(source) for source in sources],
            )
    calibrated = [source for source in (*trained, *evaluated) if len(source[1]["value"]) >= 2 * MIN_RESPONSES_A_POINT]
    if calibrated:
        yield ReportFigure(
            "calibration",
            "Accuracy by confidence",
            "Responses in groups of equal size by mean token probability; band: ± one standard error, as if responses "
            "were independent.",
            [_calibration(calibrated)],
        )


def verdict_figure(
    comparisons: Sequence[SettingComparison], evaluations: Sequence[PastEvaluation]
) -> ReportFigure | None:
    """Verdicts of the newest runs; None without any."""
    trained = [(label, _counts(run)) for label, run in _trained(comparisons)]
    evaluated = [(label, _evaluated_counts(run)) for label, run in _evaluated(evaluations)]
    panels = [
        _verdicts(title, [bar for bar in bars if sum(bar[1].values())][:MAX_BARS])
        for title, bars in (("training, last iteration", trained), ("evaluations", evaluated))
    ]
    shown = [panel for panel in panels if panel.stacks and panel.stacks[0].names]
    if not shown:
        return None
    return ReportFigure("verdicts", "Verdicts", "Share of responses by verdict.", shown)


def _trained(comparisons: Sequence[SettingComparison]) -> list[tuple[str, PastRun]]:
    """Newest run of each setting, with its label."""
    return [
        (f"{comparison.title}: {label}" if len(comparisons) > 1 else label, runs[0])
        for comparison in comparisons
        for label, runs in comparison.settings.items()
    ]


def _evaluated(evaluations: Sequence[PastEvaluation]) -> list[tuple[str, PastRun]]:
    """Newest evaluation of each model and method, with its label."""
    newest: dict[str, PastRun] = {}
    for evaluation in evaluations:
        variant = evaluation.variant
        label = f"{variant.model} {names.method_title(variant.method)} {variant.setting}".strip()
        newest.setdefault(label, evaluation.run)
    return list(newest.items())


def _sources(store: RunStore, runs: Sequence[tuple[str, PastRun]]) -> list[Labelled]:
    """Responses of the first PANELS runs whose confidences are not all equal."""
    found: list[Labelled] = []
    for label, run in runs:
        if len(found) == PANELS:
            break
        responses = confidences_of(store, run)
        if len(responses["value"]) and np.ptp(responses["value"]) > ROUNDING:
            found.append((label, responses))
    return found


def _scatter(source: Labelled) -> Panel:
    label, responses = source
    dots = []
    for kind, look in LOOKS.items():
        its = responses["verdict"] == kind
        if its.any():
            groups, values = responses["group"][its].tolist(), responses["value"][its].tolist()
            dots.append(Line(IN_WORDS[kind], look, groups, values, joined=False))
    return Panel(label, "group", "log-probability", tuple(dots))


def _histogram(source: Labelled) -> Panel:
    """Shares over equal bins, from the lowest probability to 1."""
    label, responses = source
    found = {kind: np.exp(responses["value"][responses["verdict"] == kind]) for kind in (CORRECT, WRONG)}
    probabilities = {kind: values for kind, values in found.items() if len(values)}
    lowest = min((float(values.min()) for values in probabilities.values()), default=0.0)
    lines = []
    for kind, values in probabilities.items():
        counts, edges = np.histogram(values, BINS, (lowest, 1.0))
        shares = 100 * counts / len(values)
        lines.append(Line(IN_WORDS[kind], LOOKS[kind], ((edges[:-1] + edges[1:]) / 2).tolist(), shares.tolist()))
    return Panel(label, "mean token probability", "percent of them", tuple(lines), whole_x=False)


def _calibration(sources: Sequence[Labelled]) -> Panel:
    lines = []
    for look, (label, responses) in enumerate(sources):
        order = np.argsort(responses["value"], kind="stable")
        parts = np.array_split(order, min(MAX_POINTS, len(order) // MIN_RESPONSES_A_POINT))
        probability = [float(np.exp(responses["value"][part]).mean()) for part in parts]
        share = np.array([(responses["verdict"][part] == CORRECT).mean() for part in parts])
        error = np.sqrt(share * (1 - share) / [len(part) for part in parts])
        y, low, high = ((100 * each).tolist() for each in (share, share - error, share + error))
        lines.append(Line(label, look, probability, y, low, high))
    return Panel("accuracy by confidence", "mean token probability", "percent right", tuple(lines), whole_x=False)


def _counts(run: PastRun) -> dict[str, float]:
    return {kind: run.metrics.get(f"verdict/{kind}", 0.0) for kind in LOOKS}


def _evaluated_counts(run: PastRun) -> dict[str, float]:
    """Verdict counts over all benchmarks."""
    sums = dict.fromkeys(LOOKS, 0.0)
    for metric, value in run.metrics.items():
        prefix, _, kind = metric.rpartition("/verdict/")
        if prefix.startswith("eval/") and kind in sums:
            sums[kind] += value
    return sums


def _verdicts(title: str, bars: Sequence[tuple[str, dict[str, float]]]) -> Panel:
    labels = [label for label, _ in bars]
    stacks = [
        Stack(IN_WORDS[kind], look, labels, [100 * counts[kind] / sum(counts.values()) for _, counts in bars])
        for kind, look in LOOKS.items()
        if any(counts[kind] for _, counts in bars)
    ]
    return Panel(title, "percent", "", stacks=tuple(stacks))
