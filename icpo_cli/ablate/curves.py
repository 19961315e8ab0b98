"""A study's curves: what every arm did over the iterations, mean and band over its seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from icpo_cli.ablate.collect import TITLES, JobRecord, Points, State, accuracy_metric, benches_of
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.figures import Line, Panel, draw, save

FOLDER = "curves"
OVERVIEW = "all"
WINDOWS_A_RUN, WIDEST_WINDOW = 40, 25


@dataclass(frozen=True)
class Curve:
    """One metric over the iterations."""

    file: str
    metric: str
    """Its name in the journal."""
    title: str
    unit: str
    smoothed: bool
    """Whether single iterations say little: means over one batch of prompts do."""


TRAINING = (
    Curve("entropy", "entropy", "entropy", "nats a token", smoothed=True),
    Curve("reward", "reward/verif", "reward", "mean over responses", smoothed=True),
    Curve("omega", "omega", "omega", "omega", smoothed=False),
    Curve("bonus_share", "bonus/share", "bonus share", "of bonus and reward", smoothed=True),
    Curve("response_length", "response_tokens/mean", "response length", "tokens", smoothed=True),
)
UNIFORM_GROUPS = Curve("uniform_groups", "groups/uniform_reward_share", "uniform groups", "share of groups", True)
"""Groups of equal rewards: what a coarse study is about."""


def draw_curves(study: Study, records: Sequence[JobRecord], folder: Path) -> list[Path]:
    """FOLDER/curves/NAME.png and .pdf of each metric that there is, and one figure of all; returns their paths."""
    panels = [(curve, _panel(curve, study, records)) for curve in _curves(study, records)]
    drawn = [(curve, panel) for curve, panel in panels if panel.lines]
    if not drawn:
        return []
    into = folder / FOLDER
    into.mkdir(parents=True, exist_ok=True)
    whole = caption_of(study, records, [curve for curve, _ in drawn])
    paths = save(draw([panel for _, panel in drawn], whole), into / OVERVIEW)
    for curve, panel in drawn:
        paths += save(draw([panel], caption_of(study, records, [curve])), into / curve.file)
    return paths


def caption_of(study: Study, records: Sequence[JobRecord], curves: Sequence[Curve]) -> str:
    """What lines and bands are."""
    counts = {len(_shown(_of(arm, records))) for arm in study.arms} - {0}
    many = sorted(count for count in counts if count > 2)
    bands = []
    if many:
        seeds = str(many[0]) if many[0] == many[-1] else f"{many[0]} to {many[-1]}"
        bands.append(f"± one standard error over {seeds} seeds")
    if 2 in counts:
        bands.append("from the lower to the higher of 2 seeds")
    text = f"Line: mean over seeds; band: {', or '.join(bands)}." if bands else "One seed each: no band."
    if bands and 1 in counts:
        text += " Without a band: one seed."
    smoothed = [curve.title for curve in curves if curve.smoothed]
    if smoothed and _window(study) > 1:
        which = "" if len(curves) == 1 else f" of {', '.join(smoothed)}"
        text += f" Moving mean{which} over {_window(study)} iterations."
    return text


def window_of(iterations: int) -> int:
    """Over how many iterations a training metric of so long a run is smoothed: a 40th of them, odd, 25 at most.

    Means over one batch of prompts say little alone.
    """
    return min(iterations // WINDOWS_A_RUN // 2 * 2 + 1, WIDEST_WINDOW)


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Centred moving mean over `window` (odd) values; at the ends over those of them that there are."""
    sums, half = np.concatenate([[0.0], np.cumsum(values)]), window // 2
    spans = [(max(at - half, 0), min(at + half + 1, len(values))) for at in range(len(values))]
    return [float((sums[end] - sums[start]) / (end - start)) for start, end in spans]


def over_seeds(label: str, look: int, points: Sequence[Sequence[tuple[int, float]]], window: int) -> Line | None:
    """Mean and band over the seeds' (step, value) points at the steps that all of them have; None without any."""
    steps = sorted(set.intersection(*(set(dict(each)) for each in points)))
    if not steps:
        return None
    held = [dict(each) for each in points]
    values = np.array([smooth([each[step] for step in steps], window) for each in held])  # [seeds, steps]
    mean = values.mean(0)
    if len(values) < 2:
        return Line(label, look, steps, mean.tolist())
    error = values.std(0, ddof=1) / math.sqrt(len(values))
    low, high = mean - error, mean + error  # of two seeds that is from the lower to the higher
    return Line(label, look, steps, mean.tolist(), low.tolist(), high.tolist())


def _curves(study: Study, records: Sequence[JobRecord]) -> list[Curve]:
    """Accuracies, then the training metrics."""
    accuracies = [
        Curve(f"accuracy_{bench}", accuracy_metric(bench), f"{TITLES[bench]} accuracy", "percent", smoothed=False)
        for bench in benches_of(records)
    ]
    coarse = study.probe is not None or study.probe_run is not None
    return [*accuracies, *TRAINING, *([UNIFORM_GROUPS] if coarse else [])]


def _panel(curve: Curve, study: Study, records: Sequence[JobRecord]) -> Panel:
    window = _window(study) if curve.smoothed else 1
    lines = [
        line
        for look, arm in enumerate(study.arms)
        if (line := _line(curve.metric, arm, look, _of(arm, records), window))
    ]
    return Panel(curve.title, "iteration", curve.unit, tuple(lines))


def _line(metric: str, arm: Arm, look: int, records: Sequence[JobRecord], window: int) -> Line | None:
    """An arm's mean over the seeds that are shown, at the iterations that all of them have; None without any."""
    shown = _shown(records)
    points: list[Points] = [record.series[metric] for record in shown if metric in record.series]
    return over_seeds(_label(arm, records, shown), look, points, window) if points else None


def _of(arm: Arm, records: Sequence[JobRecord]) -> list[JobRecord]:
    return [record for record in records if record.arm == arm.name]


def _shown(records: Sequence[JobRecord]) -> list[JobRecord]:
    """The jobs that are done; while there is none, the one that came farthest.

    A mean over seeds of different lengths would jump where one of them ends.
    """
    done = [record for record in records if record.state is State.DONE]
    begun = [record for record in records if record.series]
    return done or sorted(begun, key=lambda record: record.iterations)[-1:]


def _label(arm: Arm, records: Sequence[JobRecord], shown: Sequence[JobRecord]) -> str:
    if shown[0].state is not State.DONE:
        return f"{arm.name} (seed {shown[0].seed}, {shown[0].state.value})"
    return arm.name if len(shown) == len(records) else f"{arm.name} ({len(shown)} of {len(records)} seeds)"


def _window(study: Study) -> int:
    """The same for all arms."""
    return window_of(max(arm.config.train.iterations for arm in study.arms))
