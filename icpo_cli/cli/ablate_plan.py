"""The printed plan of a study: its arms, their differences, and omega over the iterations as a small chart."""

from collections.abc import Sequence
from typing import Any

from icpo_cli.ablate.plan import PlannedArm, StudyPlan, omega_curve
from icpo_cli.cli.display import BARS
from icpo_cli.text import duration, printable

WIDTH, ROWS = 48, 3
"""Size of a chart in characters."""


def plan_text(plan: StudyPlan) -> str:
    study = plan.study
    seeds = ", ".join(map(str, study.seeds))
    lines = [
        f"study {study.name}: {study.about}",
        f"{len(plan.arms)} arms, seeds {seeds}: {plan.runs} runs in {study.folder}",
        f"one after another {duration(plan.seconds)}",
    ]
    if plan.seconds_at_once != plan.seconds:
        lines[-1] += f", {plan.machine.at_once} at once {duration(plan.seconds_at_once)}"
    lines += [f"  {basis}" for basis in dict.fromkeys(planned.estimate.basis for planned in plan.arms)]
    memory = [planned.memory_gib for planned in plan.arms if planned.memory_gib is not None]
    if memory and plan.machine.at_once is not None:
        most = max(memory) * plan.machine.ranks * plan.machine.at_once
        lines.append(f"memory with {plan.machine.at_once} at once: {_gib(most)}, without key-value cache")
    if plan.probe_estimate is not None:
        lines.append(_probe_line(plan, plan.probe_estimate.seconds))
    top = max((planned.arm.config.method.omega.max for planned in plan.arms if planned.omega), default=0.0)
    for planned in plan.arms:
        lines += ["", *_arm_lines(planned, top)]
    return "\n".join(printable(line.rstrip()) for line in lines)


def area(values: Sequence[float], top: float, rows: int) -> list[str]:
    """An area chart of values from 0 to `top`, as text rows from top to bottom."""
    steps = [round(value / (top or 1.0) * rows * len(BARS)) for value in values]
    return ["".join(_block(step - row * len(BARS)) for step in steps) for row in reversed(range(rows))]


def _block(step: int) -> str:
    """One character of a column that rises `step` eighths above the lower edge of the row."""
    return " " if step <= 0 else BARS[min(step, len(BARS)) - 1]


def _probe_line(plan: StudyPlan, seconds: float | None) -> str:
    if plan.study.probe_run is not None:
        counts = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in (plan.selected or {}).items())
        return f"data from probe {plan.study.probe_run}: {counts}"
    count = plan.probe_iterations
    iterations = "its epochs give the number of iterations" if count is None else f"{count} iterations"
    return f"probe first: {iterations}, {duration(seconds)}; its uniform groups are the arms' data"


def _arm_lines(planned: PlannedArm, top: float) -> list[str]:
    arm = planned.arm
    compared = "base" if arm.against is None else f"against {arm.against}"
    memory = "unknown" if planned.memory_gib is None else _gib(planned.memory_gib)
    lines = [
        f"{arm.name}  ({compared})",
        f"  {planned.iterations:,} iterations, {duration(planned.estimate.seconds)} per run, memory {memory} per rank",
    ]
    width = max((len(key) for key in planned.differs), default=0)
    lines += [f"  {key:<{width}}  {_value(old)} → {_value(new)}" for key, (old, new) in planned.differs.items()]
    return lines + (_omega_lines(planned, top) if planned.omega else ["  no omega: the method has no bonus"])


def _omega_lines(planned: PlannedArm, top: float) -> list[str]:
    """A chart of omega with axes, and its values at some iterations."""
    chart = area(_curve(planned), top, ROWS)
    scale = [f"{top:g}", *[""] * (ROWS - 2), "0"]
    margin = max(len(text) for text in scale)
    lines = [f"  omega {text:>{margin}} │{row}" for text, row in zip(scale, chart, strict=True)]
    lines[1:] = [line.replace("omega", "     ", 1) for line in lines[1:]]
    last = str(planned.iterations)
    lines.append(f"          {' ' * margin}0{last:>{WIDTH - 1}}")
    return [*lines, "  " + ", ".join(f"{value:.4g} at {point}" for point, value in planned.omega.items())]


def _curve(planned: PlannedArm) -> list[float]:
    points = [round(column * planned.iterations / (WIDTH - 1)) for column in range(WIDTH)]
    curve = omega_curve(planned.arm.config, points)
    return [curve[point] for point in points] if curve else []


def _gib(size: float) -> str:
    return f"{size:.1f} GiB" if size >= 0.1 else "under 0.1 GiB"


def _value(value: Any) -> str:
    return "none" if value is None else str(value)
