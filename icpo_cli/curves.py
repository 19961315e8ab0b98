"""Metrics over training, averaged over seeds, as panels of a figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icpo_cli.figures import Line, Panel

WINDOWS_A_RUN, WIDEST_WINDOW = 40, 25

Points = Sequence[tuple[int, float]]
"""(step, value), by step."""
History = Mapping[str, Points]
"""One run's points by metric."""


@dataclass(frozen=True)
class Curve:
    """A metric over the iterations: one panel."""

    metric: str
    title: str
    unit: str
    smoothed: bool = False
    """Moving mean: a mean over one batch of prompts says little alone."""
    factor: float = 1.0
    """Multiplies the metric's values: 100 for shares in percent."""


def curve_panel(curve: Curve, seeds: Sequence[tuple[str, Sequence[History]]], window: int) -> Panel:
    """A line for each (label, histories of its seeds) that has the metric; its look is its index in `seeds`."""
    window = window if curve.smoothed else 1
    lines = []
    for look, (label, histories) in enumerate(seeds):
        points = [history[curve.metric] for history in histories if curve.metric in history]
        scaled = [[(step, curve.factor * value) for step, value in each] for each in points]
        line = over_seeds(label, look, scaled, window) if scaled else None
        lines += [line] if line else []
    return Panel(curve.title, "iteration", curve.unit, tuple(lines))


def window_of(iterations: int) -> int:
    """Iterations in the moving mean of a run of that length: a 40th of them, odd, at most 25."""
    return min(iterations // WINDOWS_A_RUN // 2 * 2 + 1, WIDEST_WINDOW)


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Centred moving mean over `window` (odd) values; at the ends over the values that exist."""
    sums, half = np.concatenate([[0.0], np.cumsum(values)]), window // 2
    spans = [(max(at - half, 0), min(at + half + 1, len(values))) for at in range(len(values))]
    return [float((sums[end] - sums[start]) / (end - start)) for start, end in spans]


def over_seeds(label: str, look: int, seeds: Sequence[Points], window: int) -> Line | None:
    """Mean over seeds with a band of ± one standard error, at the steps that all seeds have; None without such steps.

    With two seeds the band reaches from the lower to the higher value; with one there is no band.
    """
    by_step = [dict(points) for points in seeds]
    steps = sorted(set.intersection(*map(set, by_step)))
    if not steps:
        return None
    values = np.array([smooth([points[step] for step in steps], window) for points in by_step])  # [seeds, steps]
    mean = values.mean(0)
    if len(values) < 2:
        return Line(label, look, steps, mean.tolist())
    error = values.std(0, ddof=1) / math.sqrt(len(values))
    return Line(label, look, steps, mean.tolist(), (mean - error).tolist(), (mean + error).tolist())
