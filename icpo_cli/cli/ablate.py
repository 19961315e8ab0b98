"""`icpo ablate`: run a study and print the table of its arms."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icpo_cli.ablate.coarse import counts_text, select_coarse
from icpo_cli.ablate.launch import launcher_factory, slurm_script
from icpo_cli.ablate.launch.local import shares
from icpo_cli.ablate.launch.slurm import slurm_settings
from icpo_cli.ablate.plan import PlannedArm, StudyPlan, check_study, omega_curve, plan
from icpo_cli.ablate.request import read_study
from icpo_cli.ablate.study import Study
from icpo_cli.cli.display import BARS
from icpo_cli.cli.model import make_first
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.runs.run_dir import RunDir
from icpo_cli.runs.study_dir import StudyDir
from icpo_cli.text import duration, printable

if TYPE_CHECKING:
    from icpo_cli.ablate.run import StudyEnd

WIDTH, ROWS = 48, 3
"""Size of a chart in characters."""


def ablate(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="schedule, noise, coarse, scale, sensitivity, methods, or a study file."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.yaml ...] [key=value ...]", help="Base of all arms; default: the quickstart."),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N,N,...", help="Each arm runs once with each seed.")] = "0,1,2",
    jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Runs in parallel; locally they share cores and GPUs, default 1.")
    ] = None,
    dial: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2", help="An arm for each value; KEY alone: the study's values. May be repeated."
        ),
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="Sweep all combinations of the values of --dial.")] = False,
    control: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="random_reward or shuffled_golds; may be repeated.")
    ] = None,
    probe: Annotated[
        str | None, typer.Option(metavar="RUN", help="Select coarse data from this run: its id or folder.")
    ] = None,
    launcher: Annotated[str, typer.Option(metavar="local|slurm", help="Where the runs are started.")] = "local",
    slurm: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Resources of each run in SLURM; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print arms and plan; start nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
) -> None:
    """Compare configurations over seeds. The same command resumes a study that was interrupted."""
    read = read_study(study, settings or [], seeds, dial or [], grid, control or [], probe, fetch=not dry_run)
    new_launcher = launcher_factory(read, launcher, slurm or [])
    ranks, cores = _resources(read, launcher, slurm or [], jobs, dry_run)
    check_study(read, ranks)
    selected = _selected(read)
    if dry_run:
        by_slurm = launcher == "slurm"
        script = slurm_script(read, slurm or [], jobs) if by_slurm else None
        _print_plan(plan(read, ranks, cores, jobs if by_slurm else jobs or 1, selected), script, as_json)
        return
    # Set before MLflow is imported, because its messages on creating tables would mix with the output.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from icpo_cli.ablate.run import run_study
    from icpo_cli.cli.ablate_display import StudyProgress

    for model in {arm.config.model.path: arm.config.model for arm in read.arms}.values():
        make_first(model)
    seeds_text = f"{len(read.seeds)} seed{'s' if len(read.seeds) > 1 else ''}"
    typer.echo(f"study {read.name}: {len(read.arms)} arms, {seeds_text}, in {read.folder}", err=True)
    _report(run_study(read, new_launcher, jobs, StudyProgress(sys.stderr, read.name)), as_json)


def _resources(
    study: Study, launcher: str, slurm: list[str], jobs: int | None, dry_run: bool
) -> tuple[int, int | None]:
    """Ranks and CPU cores of each run; None: it has GPUs, or is on another machine.

    Raises UserError if there are too few for `jobs` parallel runs.
    """
    devices = {arm.config.train.device for arm in study.arms}
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: {jobs} jobs at once; at least 1")
    if launcher == "slurm":
        return max(1, slurm_settings(slurm).gpus), None
    share = shares(jobs or 1, uses_gpus=devices != {"cpu"})[0]
    if "cuda" in devices and not share.gpus:
        if dry_run:  # planned for one GPU a run
            return 1, None
        raise UserError("train.device: cuda, but no GPU is visible; use train.device=cpu or --launcher slurm")
    return max(1, len(share.gpus)), None if share.gpus else len(share.cores)


def _selected(study: Study) -> dict[str, int] | None:
    """Number of prompts of the --probe run by reason; None without it. Raises UserError if it selects nothing."""
    if study.probe_run is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return select_coarse(RunDir(Path(study.probe_run)), StudyDir(Path(folder))).counts


def _print_plan(planned: StudyPlan, script: str | None, as_json: bool) -> None:
    if as_json:
        document = planned.document()
        typer.echo(json.dumps(document if script is None else {**document, "script": script}))
        return
    typer.echo(_plan_text(planned))
    if script is not None:
        typer.echo(f"\nthe batch script\n\n{script}")


def _report(end: "StudyEnd", as_json: bool) -> None:
    from icpo_cli.cli.ablate_display import print_result

    if as_json:
        typer.echo(json.dumps(end.result.document()))
    else:
        print_result(end.result)
    if end.stopped_by:
        typer.echo("stopped: the same command resumes the study", err=True)
        raise typer.Exit(128 + end.stopped_by)
    if end.not_done:
        first = end.not_done[0]
        more = f" (and {len(end.not_done) - 1} more)" if len(end.not_done) > 1 else ""
        raise RunFailed(
            f"{len(end.not_done)} of {len(end.jobs)} runs are not done: "
            f"{first.job.arm} seed {first.job.seed} {first.status}: {first.reason}{more}; "
            "the same command retries them"
        )


def _plan_text(plan: StudyPlan) -> str:
    study = plan.study
    seeds = ", ".join(map(str, study.seeds))
    lines = [
        f"study {study.name}: {study.about}",
        f"{len(plan.arms)} arms, seeds {seeds}: {plan.runs} runs in {study.folder}",
        f"one after another {duration(plan.seconds)}",
    ]
    if plan.seconds_at_once != plan.seconds:
        lines[-1] += f", {plan.at_once} at once {duration(plan.seconds_at_once)}"
    lines += [f"  {basis}" for basis in dict.fromkeys(planned.estimate.basis for planned in plan.arms)]
    memory = [planned.memory_gib for planned in plan.arms if planned.memory_gib is not None]
    if memory and plan.at_once is not None:
        most = max(memory) * plan.ranks * plan.at_once
        lines.append(f"memory with {plan.at_once} at once: {_gib(most)}")
    if plan.probe_estimate is not None:
        lines.append(_probe_line(plan, plan.probe_estimate.seconds))
    top = max((planned.arm.config.method.omega.max for planned in plan.arms if planned.omega), default=0.0)
    for planned in plan.arms:
        lines += ["", *_arm_lines(planned, top)]
    return "\n".join(printable(line.rstrip()) for line in lines)


def _area(values: Sequence[float], top: float, rows: int) -> list[str]:
    """An area chart of values from 0 to `top`, as text rows from top to bottom."""
    steps = [round(value / (top or 1.0) * rows * len(BARS)) for value in values]
    blocks = f" {BARS}"  # a column rises 0 to 8 eighths above the lower edge of a row
    return [
        "".join(blocks[min(max(step - row * len(BARS), 0), len(BARS))] for step in steps)
        for row in reversed(range(rows))
    ]


def _probe_line(plan: StudyPlan, seconds: float | None) -> str:
    if plan.study.probe_run is not None:
        return f"data from probe {plan.study.probe_run}: {counts_text(plan.selected or {})}"
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
    chart = _area(_curve(planned), top, ROWS)
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
