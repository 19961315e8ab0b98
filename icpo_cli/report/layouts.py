"""The paper's Tables 1 to 4: which rows each has, how they stand, and what is best among what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.report.names import (
    DEFAULT_SCHEDULE,
    FAMILIES,
    OTHER,
    SCHEDULES,
    VERIFIERS,
    family_heading,
    method_order,
    method_title,
    model_order,
    same_method,
    series,
)
from icpo_cli.report.results import COLUMNS, Subject


@dataclass(frozen=True)
class Layout:
    """One table's form."""

    title: str
    names: tuple[str, ...]
    """Headings of the columns that say whose the numbers are."""
    columns: tuple[str, ...]
    """Benchmarks and means."""
    about: str
    """Which rows it has, for a reader who misses one."""
    admits: Callable[[Subject], bool]
    group: Callable[[Subject], str]
    """The heading that a row stands under."""
    block: Callable[[Subject], str]
    """Best and second are taken of rows of one block."""
    cells: Callable[[Subject, bool], tuple[str, ...]]
    """A row's names; the flag says that it is the first of its model."""


def _added(subject: Subject, first: bool) -> str:
    """A model itself, or what was added to it: Qwen2.5-3B, + GRPO."""
    if subject.method == "base":
        return _with(subject.model, subject.apart)
    added = f"+ {_with(method_title(subject.method), subject.setting, subject.apart)}"
    return f"{subject.model} {added}" if first else added


def _coarse(subject: Subject, first: bool) -> tuple[str, ...]:
    title = "Baseline" if subject.method == "base" else f"+ {method_title(subject.method)}"
    return (_with(title, subject.apart),)


def _scheduled(subject: Subject, first: bool) -> tuple[str, ...]:
    if subject.method == "grpo":
        return (_with(f"{subject.model}-GRPO", subject.apart),)
    schedule = subject.method.partition(":")[2] or DEFAULT_SCHEDULE
    return (_with(f"⇒ ω {SCHEDULES.get(schedule, schedule)}", subject.apart),)


def _with(title: str, *more: str) -> str:
    said = ", ".join(filter(None, more))
    return f"{title} ({said})" if said else title


def _family(subject: Subject) -> str:
    return family_heading(subject.family)


def _series(subject: Subject) -> str:
    """The model's, unless the user named a family of their own."""
    ours = subject.family in (*FAMILIES, OTHER)
    return f"{series(subject.model)} Models" if ours else subject.family


def _verifier(subject: Subject) -> str:
    return VERIFIERS.get(subject.verifier, subject.verifier)


LAYOUTS: dict[int, Layout] = {
    1: Layout(
        title="Overall performance",
        names=("Model", "Method", "Verifier"),
        columns=COLUMNS,
        about="all rows",
        admits=lambda subject: True,
        group=_family,
        block=_family,
        cells=lambda subject, first: (
            subject.model,
            _with(method_title(subject.method), subject.setting, subject.apart),
            _verifier(subject),
        ),
    ),
    2: Layout(
        title="Coarse-grained rewards",
        names=("Methods",),
        columns=("mmlu_pro", "gpqa", "math500", "minerva"),
        about="base models, and runs on coarse data (`icpo ablate coarse`)",
        admits=lambda subject: subject.method == "base" or subject.setting == "coarse",
        group=lambda subject: subject.model,
        block=lambda subject: subject.model,
        cells=_coarse,
    ),
    3: Layout(
        title="Scales, types and versions",
        names=("Model", "Verifier"),
        columns=COLUMNS,
        about="base models, GRPO and ICPO",
        admits=lambda subject: same_method(subject.method) in ("base", "grpo", "icpo") and not subject.setting,
        group=_series,
        block=lambda subject: subject.model,
        cells=lambda subject, first: (_added(subject, first), _verifier(subject)),
    ),
    4: Layout(
        title="Bonus weight adjustment schedules",
        names=("Model",),
        columns=COLUMNS,
        about="GRPO, and ICPO under its schedules of omega (`icpo ablate schedule`)",
        admits=lambda subject: subject.method.partition(":")[0] in ("grpo", "icpo") and not subject.setting,
        group=lambda subject: f"Bonus Weight Adjustment Schedules, {subject.model}",
        block=lambda subject: subject.model,
        cells=_scheduled,
    ),
}


def in_order(subject: Subject) -> tuple[Any, ...]:
    """Sorts rows: families, models within one, methods of a model."""
    family_place, *rest = model_order(subject.model)
    names = (method_order(subject.method), subject.setting, subject.apart)
    return (subject.family == OTHER, family_place, subject.family, *rest, *names)


def heading(bench: str, ks: set[int]) -> str:
    """Avg@k of a benchmark: the paper's k, or that of all its numbers where they share another."""
    return f"Avg@{ks.pop() if len(ks) == 1 else BENCHMARKS[bench].k}"
