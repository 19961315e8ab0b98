"""Layouts of the paper's Tables 1 to 4: rows, their order and groups, columns, and the blocks of best and second."""

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
from icpo_cli.report.results import COLUMNS, ModelVariant


@dataclass(frozen=True)
class TableLayout:
    """Layout of one table."""

    title: str
    names: tuple[str, ...]
    """Headings of the columns before the numbers."""
    columns: tuple[str, ...]
    """Benchmarks and means."""
    about: str
    """Its rows in words, for a reader who misses one."""
    admits: Callable[[ModelVariant], bool]
    group: Callable[[ModelVariant], str]
    """Heading of the group that a row belongs to."""
    block: Callable[[ModelVariant], str]
    """Key of the rows among which best and second are found."""
    cells: Callable[[ModelVariant, bool], tuple[str, ...]]
    """Names of a row; the flag: it is the first row of its model."""


def _added(variant: ModelVariant, first: bool) -> str:
    """The base model, or the method added to it: Qwen2.5-3B, + GRPO."""
    if variant.method == "base":
        return _with(variant.model, variant.apart)
    added = f"+ {_with(method_title(variant.method), variant.setting, variant.apart)}"
    return f"{variant.model} {added}" if first else added


def _coarse(variant: ModelVariant, first: bool) -> tuple[str, ...]:
    title = "Baseline" if variant.method == "base" else f"+ {method_title(variant.method)}"
    return (_with(title, variant.apart),)


def _scheduled(variant: ModelVariant, first: bool) -> tuple[str, ...]:
    if variant.method == "grpo":
        return (_with(f"{variant.model}-GRPO", variant.apart),)
    schedule = variant.method.partition(":")[2] or DEFAULT_SCHEDULE
    return (_with(f"⇒ ω {SCHEDULES.get(schedule, schedule)}", variant.apart),)


def _with(title: str, *details: str) -> str:
    shown = ", ".join(filter(None, details))
    return f"{title} ({shown})" if shown else title


def _family(variant: ModelVariant) -> str:
    return family_heading(variant.family)


def _series(variant: ModelVariant) -> str:
    """Series of the model, unless the user gave a family of their own."""
    ours = variant.family in (*FAMILIES, OTHER)
    return f"{series(variant.model)} Models" if ours else variant.family


def _verifier(variant: ModelVariant) -> str:
    return VERIFIERS.get(variant.verifier, variant.verifier)


LAYOUTS: dict[int, TableLayout] = {
    1: TableLayout(
        title="Overall performance",
        names=("Model", "Method", "Verifier"),
        columns=COLUMNS,
        about="all rows",
        admits=lambda variant: True,
        group=_family,
        block=_family,
        cells=lambda variant, first: (
            variant.model,
            _with(method_title(variant.method), variant.setting, variant.apart),
            _verifier(variant),
        ),
    ),
    2: TableLayout(
        title="Coarse-grained rewards",
        names=("Methods",),
        columns=("mmlu_pro", "gpqa", "math500", "minerva"),
        about="base models, and runs on coarse data (`icpo ablate coarse`)",
        admits=lambda variant: variant.method == "base" or variant.setting == "coarse",
        group=lambda variant: variant.model,
        block=lambda variant: variant.model,
        cells=_coarse,
    ),
    3: TableLayout(
        title="Scales, types and versions",
        names=("Model", "Verifier"),
        columns=COLUMNS,
        about="base models, GRPO and ICPO",
        admits=lambda variant: same_method(variant.method) in ("base", "grpo", "icpo") and not variant.setting,
        group=_series,
        block=lambda variant: variant.model,
        cells=lambda variant, first: (_added(variant, first), _verifier(variant)),
    ),
    4: TableLayout(
        title="Bonus weight adjustment schedules",
        names=("Model",),
        columns=COLUMNS,
        about="GRPO, and ICPO under its schedules of omega (`icpo ablate schedule`)",
        admits=lambda variant: variant.method.partition(":")[0] in ("grpo", "icpo") and not variant.setting,
        group=lambda variant: f"Bonus Weight Adjustment Schedules, {variant.model}",
        block=lambda variant: variant.model,
        cells=_scheduled,
    ),
}


def in_order(variant: ModelVariant) -> tuple[Any, ...]:
    """Sort key of rows: family, model, method."""
    family_index, *rest = model_order(variant.model)
    names = (method_order(variant.method), variant.setting, variant.apart)
    return (variant.family == OTHER, family_index, variant.family, *rest, *names)


def heading(bench: str, ks: set[int]) -> str:
    """Avg@k of a benchmark, with the k that all its numbers share, else the paper's k."""
    return f"Avg@{ks.pop() if len(ks) == 1 else BENCHMARKS[bench].k}"
