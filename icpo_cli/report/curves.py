"""Figures over training, one or two a comparison: accuracy and entropy; omega, the entropy under it, bonus share."""

from collections.abc import Iterator, Mapping, Sequence

from icpo_cli.curves import over_seeds, window_of
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.figures import Panel
from icpo_cli.report.figure import Histories, ReportFigure
from icpo_cli.report.settings import MOST_SEEDS, Comparison
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun, Points

HELDOUT = "eval/heldout/avg_at_k"
METRICS = ("entropy", "accuracy", "omega", "bonus/share", HELDOUT, *(f"eval/{bench}/avg_at_k" for bench in BENCHMARKS))
"""All that the figures draw."""

Means = Mapping[str, Points]
"""{run: points}"""


def curve_figures(
    comparisons: Sequence[Comparison], runs: Sequence[PastRun], histories: Histories
) -> Iterator[ReportFigure]:
    """Of each comparison. `runs`: among which evaluations of their checkpoints are looked for, newest first."""
    for number, comparison in enumerate(comparisons, 1):
        yield _dynamics(comparison, number, runs, histories)
        if any(value > 0 for points in _of(comparison, "omega", histories).values() for _, value in points):
            yield _omega(comparison, number, histories)


def _dynamics(comparison: Comparison, number: int, runs: Sequence[PastRun], histories: Histories) -> ReportFigure:
    """Figures 3 and 5, and under noise Figure 4."""
    window = _window(comparison, histories)
    title, means = _benchmarks(comparison, runs, histories)
    heldout = _of(comparison, HELDOUT, histories)
    accuracy = {
        run: tuple((step, 100 * value) for step, value in points)
        for run, points in _of(comparison, "accuracy", histories).items()
    }
    panels = [
        _panel(title, "percent", comparison, means, 1),
        _panel("held-out accuracy", "percent", comparison, heldout, 1),
        _panel("training accuracy", "percent", comparison, accuracy, window),
    ]
    shown = [panel for panel in panels if panel.lines][:2]
    entropy = _panel("entropy", "nats a token", comparison, _of(comparison, "entropy", histories), window)
    return ReportFigure(
        stem=f"{'noise' if comparison.noisy else 'training'}-{number}",
        title=f"Accuracy and entropy over training: {comparison.title}",
        caption=_caption(comparison, window, "Training accuracy and entropy" if panels[2] in shown else "Entropy"),
        panels=[*shown, entropy],
    )


def _omega(comparison: Comparison, number: int, histories: Histories) -> ReportFigure:
    """Figure 2, and what the bonus comes to."""
    window = _window(comparison, histories)
    share = {
        run: tuple((step, 100 * value) for step, value in points)
        for run, points in _of(comparison, "bonus/share", histories).items()
    }
    return ReportFigure(
        stem=f"omega-{number}",
        title=f"Omega, entropy and the bonus's share: {comparison.title}",
        caption=_caption(comparison, window, "Entropy and bonus share (of the sizes of bonus and reward)"),
        panels=[
            _panel("omega", "omega", comparison, _of(comparison, "omega", histories), 1),
            _panel("entropy", "nats a token", comparison, _of(comparison, "entropy", histories), window),
            _panel("bonus share", "percent", comparison, share, window),
        ],
    )


def _panel(title: str, unit: str, comparison: Comparison, points: Means, window: int) -> Panel:
    lines = []
    for look, setting in enumerate(comparison.settings):
        seeds = [points[run.id] for run in setting.runs if run.id in points]
        line = over_seeds(setting.label, look, seeds, window) if seeds else None
        lines += [line] if line else []
    return Panel(title, "iteration", unit, tuple(lines))


def _of(comparison: Comparison, metric: str, histories: Histories) -> Means:
    return {
        run.id: histories[run.id][metric]
        for setting in comparison.settings
        for run in setting.runs
        if metric in histories[run.id]
    }


def _benchmarks(comparison: Comparison, runs: Sequence[PastRun], histories: Histories) -> tuple[str, Means]:
    """Mean accuracy over the benchmarks that every run was evaluated on more than once, and what it is called."""
    shown = [run for setting in comparison.settings for run in setting.runs]
    scores = {run.id: _scores(run, runs, histories[run.id]) for run in shown}
    shared = set.intersection(*(set(its) for its in scores.values()))
    benches = [bench for bench in BENCHMARKS if bench in shared]
    means = {}
    for run_id, its in scores.items() if benches else ():
        steps = sorted(set.intersection(*(set(its[bench]) for bench in benches)))
        if len(steps) > 1:
            means[run_id] = tuple((step, sum(its[bench][step] for bench in benches) / len(benches)) for step in steps)
    title = BENCHMARKS[benches[0]].title if len(benches) == 1 else f"mean of {len(benches)} benchmarks"
    return title, means


def _scores(run: PastRun, runs: Sequence[PastRun], history: Mapping[str, Points]) -> dict[str, dict[int, float]]:
    """{benchmark: {iteration: accuracy}} of whole evaluations of its checkpoints; without them of those in the loop."""
    found: dict[str, dict[int, float]] = {}
    for other in runs:
        iteration = other.evaluated_iteration
        if other.parent == run.id and other.kind is Kind.EVAL and iteration is not None:
            for bench in BENCHMARKS:
                score = other.metrics.get(f"eval/{bench}/avg_at_k")
                if score is not None and other.metrics.get(f"eval/{bench}/partial") == 0:
                    found.setdefault(bench, {}).setdefault(iteration, score)
    in_loop = {bench: dict(history.get(f"eval/{bench}/avg_at_k", ())) for bench in BENCHMARKS}
    scores = {bench: found[bench] if len(found.get(bench, {})) > 1 else in_loop[bench] for bench in BENCHMARKS}
    return {bench: points for bench, points in scores.items() if len(points) > 1}


def _window(comparison: Comparison, histories: Histories) -> int:
    """The same for all settings."""
    return window_of(max((points[-1][0] for points in _of(comparison, "entropy", histories).values()), default=0))


def _caption(comparison: Comparison, window: int, smoothed: str) -> str:
    seeds = {len(setting.runs) for setting in comparison.settings}
    text = "One run each."
    if max(seeds) > 1:
        text = "Mean over seeds; band: ± one standard error, of two seeds from the lower to the higher."
        text += " Without a band: one run." if 1 in seeds else ""
    text += f" {smoothed}: moving mean over {window} iterations." if window > 1 else ""
    if any(setting.left_out for setting in comparison.settings):
        text += f" At most {MOST_SEEDS} seeds of a setting, the newest."
    if comparison.left_out:
        text += f" The newest {len(comparison.settings)} settings; {comparison.left_out} older ones are left out."
    return text
