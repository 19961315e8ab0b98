"""A study's curves: every arm's metrics over the iterations, mean and band over its seeds."""

from collections.abc import Sequence
from pathlib import Path

from icpo_cli.ablate.result import TITLES, JobRecord, StudyResult, accuracy_metric
from icpo_cli.ablate.study import Study
from icpo_cli.figures import Curve, History, curve_panel, draw, save, seeds_caption, window_of
from icpo_cli.runs.run_dir import Status

OVERVIEW = "all"
TRAINING = {
    "entropy": Curve("entropy", "entropy", "nats per token", smoothed=True),
    "reward": Curve("reward/verif", "reward", "mean over responses", smoothed=True),
    "omega": Curve("omega", "omega", "omega"),
    "bonus_share": Curve("bonus/share", "bonus share", "of bonus and reward", smoothed=True),
    "response_length": Curve("response_tokens/mean", "response length", "tokens", smoothed=True),
}
"""By file name."""
UNIFORM_GROUPS = Curve("groups/uniform_reward_share", "uniform groups", "share of groups", smoothed=True)
"""Groups of equal rewards, which a coarse study selects."""


def draw_curves(result: StudyResult) -> list[Path]:
    """Draw curves/NAME.png and .pdf of each metric that has values, and one figure of all; return the paths."""
    arms, window = _arms(result), _window(result.study)
    panels = [(file, curve, curve_panel(curve, arms, window)) for file, curve in _curves(result).items()]
    drawn = [(file, curve, panel) for file, curve, panel in panels if panel.lines]
    if not drawn:
        return []
    into = result.study.files.curves
    into.mkdir(parents=True, exist_ok=True)
    caption = caption_of(result, [curve for _, curve, _ in drawn])
    paths = save(draw([panel for _, _, panel in drawn], caption), into / OVERVIEW)
    for file, curve, panel in drawn:
        paths += save(draw([panel], caption_of(result, [curve])), into / file)
    return paths


def caption_of(result: StudyResult, curves: Sequence[Curve]) -> str:
    """Explain lines and bands."""
    text = seeds_caption({len(_shown(result.jobs_of(arm))) for arm in result.study.arms} - {0})
    smoothed, window = [curve.title for curve in curves if curve.smoothed], _window(result.study)
    if smoothed and window > 1:
        which = "" if len(curves) == 1 else f" of {', '.join(smoothed)}"
        text += f" Moving mean{which} over {window} iterations."
    return text


def _curves(result: StudyResult) -> dict[str, Curve]:
    """Accuracies, then the training metrics, by file name."""
    accuracies = {
        f"accuracy_{bench}": Curve(accuracy_metric(bench), f"{TITLES[bench]} accuracy", "percent")
        for bench in result.benches
    }
    coarse = result.study.probe is not None or result.study.probe_run is not None
    return accuracies | TRAINING | ({"uniform_groups": UNIFORM_GROUPS} if coarse else {})


def _arms(result: StudyResult) -> list[tuple[str, list[History]]]:
    """Each arm's label and the histories of its seeds that are drawn."""
    arms: list[tuple[str, list[History]]] = []
    for arm in result.study.arms:
        own = result.jobs_of(arm)
        shown = _shown(own)
        arms.append((_label(arm.name, own, shown), [_history(record) for record in shown]))
    return arms


def _history(record: JobRecord) -> History:
    accuracies = {accuracy_metric(bench): record.accuracy(bench) for bench in TITLES}
    return {name: record.points(name) for name in record.metrics} | {k: v for k, v in accuracies.items() if v}


def _shown(records: Sequence[JobRecord]) -> list[JobRecord]:
    """The jobs that are done; while none is, the one with the most iterations.

    A mean over seeds of different lengths would jump where one of them ends.
    """
    done = [record for record in records if record.status is Status.DONE]
    begun = [record for record in records if record.metrics]
    return done or sorted(begun, key=lambda record: record.iterations)[-1:]


def _label(arm: str, records: Sequence[JobRecord], shown: Sequence[JobRecord]) -> str:
    if shown and shown[0].status is not Status.DONE:
        return f"{arm} (seed {shown[0].job.seed}, {shown[0].status.value})"
    return arm if len(shown) == len(records) else f"{arm} ({len(shown)} of {len(records)} seeds)"


def _window(study: Study) -> int:
    """The same for all arms."""
    return window_of(max(arm.config.train.iterations for arm in study.arms))
