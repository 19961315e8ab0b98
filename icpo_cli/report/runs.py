"""Past runs at a glance, and what there is to say of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.config.load import flatten, load_config, nearest, preset_names, to_tree
from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS
from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun

HELDOUT = "heldout"
ROLLOUT = "rollout"
"""Accuracy of the responses that were trained on, where there are no held-out questions."""
MEANS = [name for name in GROUPS if name != "all"]


@dataclass(frozen=True)
class Glance:
    """What a list shows of a run; None where its kind has no such thing."""

    run: PastRun
    kind: Kind
    method: str | None
    """An evaluation's is its training run's."""
    model: str | None
    iterations: tuple[int, int] | None
    """Of a training run: done, and wanted."""
    accuracy: Mapping[str, float]
    """Percent: of a training run under HELDOUT or ROLLOUT, of an evaluation by benchmark, with the groups' means."""
    jobs_done: str | None
    """Of a study: 3 of 12."""
    partial: bool
    """Of an evaluation."""


def glances(runs: Sequence[PastRun], experiment: str | None = None, kind: str | None = None) -> list[Glance]:
    """In the order of `runs`. Raises UserError on an experiment or kind that there is none of."""
    known = sorted({run.experiment for run in runs})
    if experiment is not None and runs and experiment not in known:
        raise UserError(f"--experiment: unknown experiment '{experiment}'{nearest(experiment, known)}")
    kinds = [each.value for each in Kind]
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind: unknown kind '{kind}'{nearest(kind, kinds)}")
    by_id = {run.id: run for run in runs}
    found = [_glance(run, by_id) for run in runs if experiment in (None, run.experiment)]
    return [glance for glance in found if kind in (None, glance.kind.value)]


def settings_of_note(run: PastRun) -> dict[str, str]:
    """The settings that are not what the schema and the method's preset have."""
    name = run.params.get("method.name", "")
    preset = [f"method={name}"] if set(name.split("+")) <= set(preset_names()) else []
    usual = {key: str(value) for key, value in flatten(to_tree(load_config(preset))).items()}
    return {key: value for key, value in sorted(run.params.items()) if usual.get(key) != value}


def _glance(run: PastRun, by_id: Mapping[str, PastRun]) -> Glance:
    kind = run.kind
    if kind is Kind.STUDY:
        model = run.params.get("model.path")
        return Glance(run, kind, None, model, None, {}, run.tags.get("study.jobs_done"), partial=False)
    if kind is Kind.EVAL:
        trained = by_id.get(run.parent or "")
        method = trained.params.get("method.name") if trained and trained.kind is Kind.TRAIN else None
        partial = run.tags.get("eval.partial") == "true"
        return Glance(run, kind, method, run.tags.get("model.name"), None, _evaluated(run), None, partial)
    wanted = run.params.get("train.iterations")
    return Glance(
        run=run,
        kind=kind,
        method=run.params.get("method.name"),
        model=run.params.get("model.path"),
        iterations=None if wanted is None else (run.last_step, int(wanted)),
        accuracy=_trained(run),
        jobs_done=None,
        partial=False,
    )


def _evaluated(run: PastRun) -> dict[str, float]:
    names = [*MEANS, *BENCHMARKS]
    return {name: run.metrics[f"eval/{name}/avg_at_k"] for name in names if f"eval/{name}/avg_at_k" in run.metrics}


def _trained(run: PastRun) -> dict[str, float]:
    if f"eval/{HELDOUT}/avg_at_k" in run.metrics:
        return {HELDOUT: run.metrics[f"eval/{HELDOUT}/avg_at_k"]}
    return {ROLLOUT: 100 * run.metrics["accuracy"]} if "accuracy" in run.metrics else {}
