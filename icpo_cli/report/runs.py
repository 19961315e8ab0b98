"""Past runs: their kind, lookup by name, a summary of each, and the differences between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icpo_cli.config.load import flatten, load_config, nearest, preset_names, to_tree
from icpo_cli.data.benchmarks import BENCHMARKS, TITLES
from icpo_cli.errors import UserError
from icpo_cli.report.results import MEANS
from icpo_cli.runs.run_dir import Kind
from icpo_cli.text import some
from icpo_cli.track.read import PastRun

HELDOUT = "heldout"
ROLLOUT = "rollout"
"""Accuracy of the training responses, for runs without held-out questions."""
TITLES_OF_ACCURACY = {**TITLES, HELDOUT: "held out", ROLLOUT: "in rollouts"}
SECTIONS = {"data": "data.", "code": "code.", "packages": "package."}
"""Prefix of the tags in each section of a difference; other tags are OTHER_TAGS."""
OTHER_TAGS = "facts"

Pair = tuple[Any, Any]
"""Values of two runs: texts, or the floats of metrics; None for a run without one."""


@dataclass(frozen=True)
class RunSummary:
    """Facts that a list shows of a run; None if runs of its kind have no such fact."""

    run: PastRun
    method: str | None = None
    """For an evaluation: its training run's."""
    model: str | None = None
    iterations: tuple[int, int] | None = None
    """Iterations of a training run: done, and configured."""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Percent: of a training run under HELDOUT or ROLLOUT, of an evaluation by group mean and benchmark."""
    jobs_done: str | None = None
    """Done jobs of a study: 3 of 12."""
    partial: bool = False
    """Whether an evaluation is partial."""


def find_run(runs: Sequence[PastRun], name: str, option: str) -> PastRun:
    """The run with that id, unique prefix of an id, or unique name.

    Raises UserError, which names the option that `name` was given to.
    """
    found = [run for run in runs if name and run.id.startswith(name)] or [run for run in runs if run.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{option} {name}: several runs match: {_named(found)}; give more of the id")
    raise UserError(f"{option} {name}: no such run in the store; newest: {_named(runs)}")


def summaries(runs: Sequence[PastRun], experiment: str | None = None, kind: str | None = None) -> list[RunSummary]:
    """Summaries in the order of `runs`. Raises UserError on an unknown experiment or kind."""
    known = sorted({run.experiment for run in runs})
    if experiment is not None and runs and experiment not in known:
        raise UserError(f"--experiment: unknown experiment '{experiment}'{nearest(experiment, known)}")
    kinds = [each.value for each in Kind]
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind: unknown kind '{kind}'{nearest(kind, kinds)}")
    by_id = {run.id: run for run in runs}
    found = [_summary(run, by_id) for run in runs if experiment in (None, run.experiment)]
    return [summary for summary in found if kind in (None, summary.run.kind.value)]


def changed_settings(run: PastRun) -> dict[str, str]:
    """Settings that differ from the defaults of the schema and of the method's preset."""
    name = run.params.get("method.name", "")
    preset = [f"method={name}"] if set(name.split("+")) <= set(preset_names()) else []
    usual = {key: str(value) for key, value in flatten(to_tree(load_config(preset))).items()}
    return {key: value for key, value in sorted(run.params.items()) if usual.get(key) != value}


def difference(left: PastRun, right: PastRun) -> dict[str, dict[str, Pair]]:
    """Unequal values by section: configuration, data, code, packages, facts, and the latest metrics."""
    sections: dict[str, dict[str, Pair]] = {"configuration": _unequal(left.params, right.params)}
    sections |= {section: {} for section in (*SECTIONS, OTHER_TAGS)}
    for key, pair in _unequal(left.tags, right.tags).items():
        section = next((name for name, prefix in SECTIONS.items() if key.startswith(prefix)), OTHER_TAGS)
        sections[section][key] = pair
    return {**sections, "metrics": _unequal(left.metrics, right.metrics)}


def _named(runs: Sequence[PastRun]) -> str:
    return some([f"{run.id[:12]} ({run.name})" for run in runs])


def _summary(run: PastRun, by_id: Mapping[str, PastRun]) -> RunSummary:
    if run.kind is Kind.STUDY:
        return RunSummary(run, model=run.params.get("model.path"), jobs_done=run.tags.get("study.jobs_done"))
    if run.kind is Kind.EVAL:
        trained = by_id.get(run.parent or "")
        return RunSummary(
            run,
            method=trained.params.get("method.name") if trained and trained.kind is Kind.TRAIN else None,
            model=run.tags.get("model.name"),
            accuracy=accuracy_of(run),
            partial=run.tags.get("eval.partial") == "true",
        )
    wanted = run.params.get("train.iterations")
    return RunSummary(
        run,
        method=run.params.get("method.name"),
        model=run.params.get("model.path"),
        iterations=None if wanted is None else (run.last_step, int(wanted)),
        accuracy=accuracy_of(run),
    )


def accuracy_of(run: PastRun) -> dict[str, float]:
    """Latest accuracies in percent: of an evaluation by group mean and benchmark, of a training run one at most."""
    names = [HELDOUT] if run.kind is Kind.TRAIN else [*MEANS, *BENCHMARKS]
    found = {name: run.metrics[f"eval/{name}/avg_at_k"] for name in names if f"eval/{name}/avg_at_k" in run.metrics}
    if run.kind is Kind.TRAIN and not found and "accuracy" in run.metrics:
        return {ROLLOUT: 100 * run.metrics["accuracy"]}
    return found


def accuracy_text(accuracy: Mapping[str, float], most: int) -> str:
    """The first accuracies in words, and how many benchmarks more there are."""
    named = [f"{TITLES_OF_ACCURACY[name]} {value:.1f}" for name, value in accuracy.items()]
    left = 0 if set(accuracy) & set(MEANS) else len(named) - most
    return ", ".join(named[:most]) + (f", {left} more" if left > 0 else "")


def _unequal(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Pair]:
    keys = sorted({**left, **right})
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}
