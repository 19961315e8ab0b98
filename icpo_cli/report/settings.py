"""Which training runs are drawn together: seeds of one setting as one line, settings on one model in one figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from icpo_cli.report import names
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.track.read import PastRun

NOT_SETTINGS = ("name", "seed", "track.", "train.output_dir", "train.save_every", "train.keep_checkpoints", "eval.")
"""Beginnings of what two seeds of one setting may differ in."""
NOISE = ("reward.noise.fraction", "reward.noise.false_positive", "reward.noise.false_negative")
MOST_SETTINGS, MOST_SEEDS = 6, 10
SHOWN_DIFFERENCES = 3


@dataclass(frozen=True)
class Setting:
    """Training runs that differ in nothing but the seed: those that finished, else the newest alone."""

    label: str
    runs: tuple[PastRun, ...]
    """Newest first."""
    left_out: int = 0
    """Older ones that finished, for which there is no room."""


@dataclass(frozen=True)
class Comparison:
    """Settings on one model and the same data, equally noisy, in the tables' order of methods."""

    title: str
    """The model, and what else keeps it apart from other comparisons."""
    noisy: bool
    settings: tuple[Setting, ...]
    left_out: int
    """Older settings, for which there is no room."""


def comparisons_of(runs: Sequence[PastRun]) -> list[Comparison]:
    """Of all training runs that did not fail, with an iteration at least; `runs` newest first, and so are they."""
    trained = [
        run
        for run in runs
        if run.kind is Kind.TRAIN and run.status is not Status.FAILED and "entropy" in run.metrics and _is_ours(run)
    ]
    alike = _grouped((_ground(run), run) for run in trained)
    titles = [_title(group[0]) for group in alike]
    return [
        _comparison(group, title if titles.count(title) == 1 else f"{title}, data {_data(group[0])[:6]}")
        for group, title in zip(alike, titles, strict=True)
    ]


def _comparison(runs: Sequence[PastRun], title: str) -> Comparison:
    seeds = _grouped((_setting(run), run) for run in runs)
    kept = sorted(seeds[:MOST_SETTINGS], key=lambda group: _order(group[0]))
    labels = _labels([group[0] for group in kept])
    return Comparison(
        title=title,
        noisy=_is_noisy(runs[0]),
        settings=tuple(_shown(label, group) for label, group in zip(labels, kept, strict=True)),
        left_out=len(seeds) - len(kept),
    )


def _title(run: PastRun) -> str:
    return names.model_title(run.params["model.path"]) + (", noisy rewards" if _is_noisy(run) else "")


def _is_noisy(run: PastRun) -> bool:
    return any(float(share) > 0 for share in _noise(run))


def _is_ours(run: PastRun) -> bool:
    """A server may hold other programs' runs too."""
    return {"model.path", "method.name", "method.omega.schedule", *NOISE} <= run.params.keys()


def _order(run: PastRun) -> tuple[float, int, str]:
    return names.method_order(f"{run.params['method.name']}:{run.params['method.omega.schedule']}")


def _shown(label: str, runs: Sequence[PastRun]) -> Setting:
    """A mean over seeds of different lengths would jump where one of them ends."""
    done = [run for run in runs if run.status is Status.DONE]
    if done:
        return Setting(label, tuple(done[:MOST_SEEDS]), len(done[MOST_SEEDS:]))
    return Setting(f"{label} ({runs[0].status.mlflow.lower()})", (runs[0],))


def _ground(run: PastRun) -> tuple[str, ...]:
    """What settings must share to be compared."""
    return run.params["model.path"], _data(run), *_noise(run)


def _data(run: PastRun) -> str:
    return run.tags.get("data.fingerprint", "")


def _noise(run: PastRun) -> list[str]:
    return [run.params[key] for key in NOISE]


def _setting(run: PastRun) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in run.params.items() if not key.startswith(NOT_SETTINGS)))


def _labels(runs: Sequence[PastRun]) -> list[str]:
    """Of each setting: its method, and what sets it apart from others of that method."""
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
    """Those of equal key, in the order of each group's first."""
    groups: dict[object, list[PastRun]] = {}
    for key, run in keyed:
        groups.setdefault(key, []).append(run)
    return list(groups.values())
