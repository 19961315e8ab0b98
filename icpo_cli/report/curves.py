"""Figures over training: which runs are drawn together, accuracy and entropy, omega and the bonus's share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.figures import Curve, Panel, Points, curve_panel, seeds_caption, window_of
from icpo_cli.report import names
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.track.read import PastRun

HELDOUT = "eval/heldout/avg_at_k"
METRICS = ("entropy", "accuracy", "omega", "bonus/share", HELDOUT, *(f"eval/{bench}/avg_at_k" for bench in BENCHMARKS))
"""All metrics that the figures draw."""
BENCHMARK_MEAN = "mean of benchmarks"
"""Name of the points that are not a metric: see _with_benchmark_mean."""
ENTROPY = Curve("entropy", "entropy", "nats per token", smoothed=True)
HELDOUT_ACCURACY = Curve(HELDOUT, "held-out accuracy", "percent")
TRAINING_ACCURACY = Curve("accuracy", "training accuracy", "percent", smoothed=True, factor=100)
OMEGA = Curve("omega", "omega", "omega")
BONUS_SHARE = Curve("bonus/share", "bonus share", "percent", smoothed=True, factor=100)

NOT_SETTINGS = ("name", "seed", "track.", "train.output_dir", "train.save_every", "train.keep_checkpoints", "eval.")
"""Prefixes of the parameters in which two seeds of one setting may differ."""
NOISE = ("reward.noise.fraction", "reward.noise.false_positive", "reward.noise.false_negative")
MAX_SETTINGS, MAX_SEEDS = 6, 10
SHOWN_DIFFERENCES = 3

Histories = Mapping[str, Mapping[str, Points]]
"""{run: {metric: points}}"""


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report: panels, and the name of its files STEM.pdf and STEM.png."""

    stem: str
    title: str
    caption: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class SettingComparison:
    """Settings with the same model, data and noise: one set of figures."""

    title: str
    """The model, and details that distinguish it from other comparisons."""
    noisy: bool
    settings: Mapping[str, Sequence[PastRun]]
    """Training runs that differ in the seed alone, newest first, by label; in the tables' order of methods."""
    older_settings: int
    """Settings beyond MAX_SETTINGS, which are left out."""
    older_seeds: bool
    """Finished runs of a setting beyond MAX_SEEDS are left out."""

    @property
    def runs(self) -> list[PastRun]:
        return [run for its in self.settings.values() for run in its]


def comparisons_of(runs: Sequence[PastRun]) -> list[SettingComparison]:
    """Comparisons of all training runs that did not fail and have at least one iteration; both newest first."""
    trained = [
        run
        for run in runs
        if run.kind is Kind.TRAIN and run.status is not Status.FAILED and "entropy" in run.metrics and _is_icpo(run)
    ]
    alike = _grouped((_comparison_key(run), run) for run in trained)
    titles = [_title(group[0]) for group in alike]
    return [
        _comparison(group, title if titles.count(title) == 1 else f"{title}, data {_data(group[0])[:6]}")
        for group, title in zip(alike, titles, strict=True)
    ]


def _comparison(runs: Sequence[PastRun], title: str) -> SettingComparison:
    seeds = _grouped((_setting(run), run) for run in runs)
    kept = sorted(seeds[:MAX_SETTINGS], key=lambda group: _order(group[0]))
    shown = [_finished(group) for group in kept]
    labels = _labels([group[0] for group in kept])
    for index, group in enumerate(shown):
        if group[0].status is not Status.DONE:
            labels[index] += f" ({group[0].status.mlflow.lower()})"
    return SettingComparison(
        title=title,
        noisy=_is_noisy(runs[0]),
        settings={label: group[:MAX_SEEDS] for label, group in zip(labels, shown, strict=True)},
        older_settings=len(seeds) - len(kept),
        older_seeds=any(len(group) > MAX_SEEDS for group in shown),
    )


def _title(run: PastRun) -> str:
    return names.model_title(run.params["model.path"]) + (", noisy rewards" if _is_noisy(run) else "")


def _is_noisy(run: PastRun) -> bool:
    return any(float(share) > 0 for share in _noise(run))


def _is_icpo(run: PastRun) -> bool:
    """Whether icpo made the run: a server may hold runs of other programs."""
    return {"model.path", "method.name", "method.omega.schedule", *NOISE} <= run.params.keys()


def _order(run: PastRun) -> tuple[float, int, str]:
    return names.method_order(f"{run.params['method.name']}:{run.params['method.omega.schedule']}")


def _finished(runs: Sequence[PastRun]) -> Sequence[PastRun]:
    """The finished runs, else the newest: a mean over seeds of different lengths would jump where one of them ends."""
    return [run for run in runs if run.status is Status.DONE] or runs[:1]


def _comparison_key(run: PastRun) -> tuple[str, ...]:
    """Key that settings share if they can be compared."""
    return run.params["model.path"], _data(run), *_noise(run)


def _data(run: PastRun) -> str:
    return run.tags.get("data.fingerprint", "")


def _noise(run: PastRun) -> list[str]:
    return [run.params[key] for key in NOISE]


def _setting(run: PastRun) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in run.params.items() if not key.startswith(NOT_SETTINGS)))


def _labels(runs: Sequence[PastRun]) -> list[str]:
    """Label of each setting: its method, and settings that differ from others of that method."""
    found: list[str] = []
    for run in runs:
        method = run.params["method.name"]
        alike = [other for other in runs if other.params["method.name"] == method]
        apart = [
            f"{key.rpartition('.')[2]} {value}"
            for key, value in _setting(run)
            if any(other.params.get(key) != value for other in alike)
        ]
        found.append(", ".join([names.method_title(method), *apart[:SHOWN_DIFFERENCES]]))
    return [
        label if found.count(label) == 1 else f"{label}, {run.id[:6]}" for label, run in zip(found, runs, strict=True)
    ]


def _grouped(keyed: Iterable[tuple[object, PastRun]]) -> list[list[PastRun]]:
    """Runs grouped by key, in the order of each group's first run."""
    groups: dict[object, list[PastRun]] = {}
    for key, run in keyed:
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def curve_figures(
    comparisons: Sequence[SettingComparison], runs: Sequence[PastRun], histories: Histories
) -> Iterator[ReportFigure]:
    """One or two figures of each comparison. `runs`, newest first: where evaluations of checkpoints are looked for."""
    for number, comparison in enumerate(comparisons, 1):
        yield _accuracy_figure(comparison, number, runs, histories)
        if any(value > 0 for run in comparison.runs for _, value in histories[run.id].get("omega", ())):
            yield _omega_figure(comparison, number, histories)


def _accuracy_figure(
    comparison: SettingComparison, number: int, runs: Sequence[PastRun], histories: Histories
) -> ReportFigure:
    """Accuracy and entropy, as in the paper's Figures 3 and 5, and under noise Figure 4."""
    benchmarks, extended = _with_benchmark_mean(comparison, runs, histories)
    curves = (benchmarks, HELDOUT_ACCURACY, TRAINING_ACCURACY)
    panels = {curve: _panel(curve, comparison, extended) for curve in curves}
    shown = [curve for curve in curves if panels[curve].lines][:2]
    smoothed = "Training accuracy and entropy" if TRAINING_ACCURACY in shown else "Entropy"
    return ReportFigure(
        stem=f"{'noise' if comparison.noisy else 'training'}-{number}",
        title=f"Accuracy and entropy over training: {comparison.title}",
        caption=_caption(comparison, histories, smoothed),
        panels=[*(panels[curve] for curve in shown), _panel(ENTROPY, comparison, histories)],
    )


def _omega_figure(comparison: SettingComparison, number: int, histories: Histories) -> ReportFigure:
    """Omega, entropy and the bonus's share, as in the paper's Figure 2."""
    return ReportFigure(
        stem=f"omega-{number}",
        title=f"Omega, entropy and the bonus's share: {comparison.title}",
        caption=_caption(comparison, histories, "Entropy and bonus share (of the sizes of bonus and reward)"),
        panels=[_panel(curve, comparison, histories) for curve in (OMEGA, ENTROPY, BONUS_SHARE)],
    )


def _panel(curve: Curve, comparison: SettingComparison, histories: Histories) -> Panel:
    seeds = [(label, [histories[run.id] for run in runs]) for label, runs in comparison.settings.items()]
    return curve_panel(curve, seeds, _window(comparison, histories))


def _with_benchmark_mean(
    comparison: SettingComparison, runs: Sequence[PastRun], histories: Histories
) -> tuple[Curve, Histories]:
    """Histories with the mean accuracy over the benchmarks that every run was evaluated on more than once."""
    scores = {run.id: _scores(run, runs, histories[run.id]) for run in comparison.runs}
    shared = set.intersection(*(set(its) for its in scores.values()))
    benches = [bench for bench in BENCHMARKS if bench in shared]
    means: dict[str, Mapping[str, Points]] = {}
    for run_id, its in scores.items() if benches else ():
        steps = sorted(set.intersection(*(set(its[bench]) for bench in benches)))
        if len(steps) > 1:
            mean = tuple((step, sum(its[bench][step] for bench in benches) / len(benches)) for step in steps)
            means[run_id] = {**histories[run_id], BENCHMARK_MEAN: mean}
    title = BENCHMARKS[benches[0]].title if len(benches) == 1 else f"mean of {len(benches)} benchmarks"
    return Curve(BENCHMARK_MEAN, title, "percent"), {**histories, **means}


def _scores(run: PastRun, runs: Sequence[PastRun], history: Mapping[str, Points]) -> dict[str, dict[int, float]]:
    """{benchmark: {iteration: accuracy}} of complete evaluations of its checkpoints, else of those during training."""
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


def _window(comparison: SettingComparison, histories: Histories) -> int:
    """Window of the moving means, the same for all settings."""
    entropies = [histories[run.id]["entropy"] for run in comparison.runs if "entropy" in histories[run.id]]
    return window_of(max((points[-1][0] for points in entropies), default=0))


def _caption(comparison: SettingComparison, histories: Histories, smoothed: str) -> str:
    window = _window(comparison, histories)
    text = seeds_caption({len(runs) for runs in comparison.settings.values()})
    text += f" {smoothed}: moving mean over {window} iterations." if window > 1 else ""
    if comparison.older_seeds:
        text += f" At most {MAX_SEEDS} seeds of a setting, the newest."
    if comparison.older_settings:
        text += f" The newest {len(comparison.settings)} settings; {comparison.older_settings} older ones are left out."
    return text
