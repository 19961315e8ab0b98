"""Figures of responses: their log-probabilities by group, confidence of right and wrong ones, verdicts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from icpo_cli.figures import Dots, Line, Panel, Stack
from icpo_cli.records import VerdictKind
from icpo_cli.report import names
from icpo_cli.report.figure import ReportFigure
from icpo_cli.report.responses import Confidence, confidences_of
from icpo_cli.report.results import Evaluation
from icpo_cli.report.settings import Comparison
from icpo_cli.track.read import PastRun, RunStore

PANELS = 3
"""Runs whose responses are shown beside one another."""
BINS = 15
ROUNDING = 1e-6
MOST_BARS = 12
CORRECT, WRONG = VerdictKind.CORRECT.value, VerdictKind.WRONG.value
LOOKS = {kind.value: look for look, kind in enumerate(VerdictKind, 1)}
"""Of verdicts, in all figures; black is left out."""
IN_WORDS = {kind.value: kind.value.replace("_", " ") for kind in VerdictKind}
GROUPED = (20, 10)
"""Responses that a point of the calibration curve wants at least, and points at most."""


@dataclass(frozen=True)
class Source:
    """Responses of one run, and what it is called."""

    label: str
    responses: Sequence[Confidence]


def response_figures(
    store: RunStore, comparisons: Sequence[Comparison], evaluations: Sequence[Evaluation]
) -> Iterator[ReportFigure]:
    """Of the newest runs whose responses are to be had."""
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
    calibrated = [source for source in (*trained, *evaluated) if len(source.responses) >= 2 * GROUPED[0]]
    if calibrated:
        yield ReportFigure(
            "calibration",
            "Accuracy by confidence",
            "Responses in groups of equal size by mean token probability; band: ± one standard error, as if responses "
            "were independent.",
            [_calibration(calibrated)],
        )


def verdict_figure(comparisons: Sequence[Comparison], evaluations: Sequence[Evaluation]) -> ReportFigure | None:
    """What the verifier said, of the newest runs; None where there are none."""
    trained = [(label, _counts(run, "verdict/")) for label, run in _trained(comparisons)]
    evaluated = [(label, _evaluated_counts(run)) for label, run in _evaluated(evaluations)]
    panels = [
        _verdicts(title, [bar for bar in bars if sum(bar[1].values())][:MOST_BARS])
        for title, bars in (("training, last iteration", trained), ("evaluations", evaluated))
    ]
    shown = [panel for panel in panels if panel.stacks and panel.stacks[0].names]
    if not shown:
        return None
    return ReportFigure("verdicts", "Verdicts", "Share of responses by verdict.", shown)


def _trained(comparisons: Sequence[Comparison]) -> list[tuple[str, PastRun]]:
    """Each setting's newest run."""
    return [
        (f"{comparison.title}: {setting.label}" if len(comparisons) > 1 else setting.label, setting.runs[0])
        for comparison in comparisons
        for setting in comparison.settings
    ]


def _evaluated(evaluations: Sequence[Evaluation]) -> list[tuple[str, PastRun]]:
    """The newest of each subject."""
    newest: dict[str, PastRun] = {}
    for evaluation in evaluations:
        subject = evaluation.subject
        label = f"{subject.model} {names.method_title(subject.method)} {subject.setting}".strip()
        newest.setdefault(label, evaluation.run)
    return list(newest.items())


def _sources(store: RunStore, runs: Sequence[tuple[str, PastRun]]) -> list[Source]:
    """Those that differ in confidence."""
    found: list[Source] = []
    for label, run in runs:
        if len(found) == PANELS:
            break
        responses = confidences_of(store, run)
        if np.ptp([response.value for response in responses] or [0.0]) > ROUNDING:
            found.append(Source(label, responses))
    return found


def _scatter(source: Source) -> Panel:
    dots = []
    for kind, look in LOOKS.items():
        its = [response for response in source.responses if response.verdict == kind]
        if its:
            dots.append(Dots(IN_WORDS[kind], look, [each.group for each in its], [each.value for each in its]))
    return Panel(source.label, "group", "log-probability", dots=tuple(dots))


def _histogram(source: Source) -> Panel:
    """Over equal bins of the probabilities that there are."""
    probabilities = {
        kind: np.exp([response.value for response in source.responses if response.verdict == kind])
        for kind in (CORRECT, WRONG)
    }
    everyone = np.concatenate(list(probabilities.values()))
    lines = []
    for kind, values in probabilities.items():
        if len(values):
            counts, edges = np.histogram(values, BINS, (float(everyone.min()), 1.0))
            shares = 100 * counts / len(values)
            lines.append(Line(IN_WORDS[kind], LOOKS[kind], ((edges[:-1] + edges[1:]) / 2).tolist(), shares.tolist()))
    return Panel(source.label, "mean token probability", "percent of them", tuple(lines), whole_x=False)


def _calibration(sources: Sequence[Source]) -> Panel:
    lines = []
    for look, source in enumerate(sources):
        ordered = sorted(source.responses, key=lambda response: response.value)
        groups = np.array_split(np.arange(len(ordered)), min(GROUPED[1], len(ordered) // GROUPED[0]))
        x, y, error = [], [], []
        for group in groups:
            members = [ordered[place] for place in group]
            share = sum(member.verdict == CORRECT for member in members) / len(members)
            x.append(sum(math.exp(member.value) for member in members) / len(members))
            y.append(100 * share)
            error.append(100 * math.sqrt(share * (1 - share) / len(members)))
        low = [each - spread for each, spread in zip(y, error, strict=True)]
        high = [each + spread for each, spread in zip(y, error, strict=True)]
        lines.append(Line(source.label, look, x, y, low, high))
    return Panel("accuracy by confidence", "mean token probability", "percent right", tuple(lines), whole_x=False)


def _counts(run: PastRun, prefix: str) -> dict[str, float]:
    return {kind: run.metrics.get(f"{prefix}{kind}", 0.0) for kind in LOOKS}


def _evaluated_counts(run: PastRun) -> dict[str, float]:
    """Over all benchmarks."""
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
