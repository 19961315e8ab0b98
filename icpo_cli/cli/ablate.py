"""`icpo ablate`: run a study and print the table of its arms."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icpo_cli.cli.model import make_first
from icpo_cli.errors import RunFailed, UserError

if TYPE_CHECKING:
    from icpo_cli.ablate.plan import Machine
    from icpo_cli.ablate.run import StudyEnd
    from icpo_cli.ablate.study import Study


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
    from icpo_cli.ablate.launch import launcher_factory
    from icpo_cli.ablate.plan import check_study
    from icpo_cli.ablate.request import StudyRequest, read_study

    request = StudyRequest(study, settings or [], seeds, dial or [], grid, control or [], probe)
    read = read_study(request, fetch=not dry_run)
    new_launcher = launcher_factory(read, launcher, slurm or [])
    machine = _machine(read, launcher, slurm or [], jobs)
    check_study(read, machine.ranks)
    selected = _selected(read)
    if dry_run:
        _print_plan(read, machine, selected, _script(read, launcher, slurm or [], jobs), as_json)
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


def _machine(study: "Study", launcher: str, slurm: list[str], jobs: int | None) -> "Machine":
    """Resources of each run. Raises UserError if there are too few for `jobs` parallel runs."""
    from icpo_cli.ablate.launch.local import shares
    from icpo_cli.ablate.launch.slurm import slurm_settings
    from icpo_cli.ablate.plan import Machine

    devices = {arm.config.train.device for arm in study.arms}
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: {jobs} jobs at once; at least 1")
    if launcher == "slurm":
        return Machine(ranks=max(1, slurm_settings(slurm).gpus), cores=None, at_once=jobs)
    share = shares(jobs or 1, uses_gpus=devices != {"cpu"})[0]
    if "cuda" in devices and not share.gpus:
        raise UserError("train.device: cuda, but no GPU is visible; use train.device=cpu or --launcher slurm")
    return Machine(max(1, len(share.gpus)), None if share.gpus else len(share.cores), jobs or 1)


def _selected(study: "Study") -> dict[str, int] | None:
    """Number of prompts of the --probe run by reason; None without it. Raises UserError if it selects nothing."""
    if study.probe_run is None:
        return None
    import tempfile

    from icpo_cli.ablate.coarse import select_coarse
    from icpo_cli.runs.run_dir import RunDir

    with tempfile.TemporaryDirectory() as folder:
        return select_coarse(RunDir(Path(study.probe_run)), Path(folder)).counts


def _script(study: "Study", launcher: str, slurm: list[str], jobs: int | None) -> str | None:
    from icpo_cli.ablate.launch import slurm_script

    return slurm_script(study, slurm, jobs) if launcher == "slurm" else None


def _print_plan(
    study: "Study", machine: "Machine", selected: dict[str, int] | None, script: str | None, as_json: bool
) -> None:
    from icpo_cli.ablate.plan import plan
    from icpo_cli.cli.ablate_plan import plan_text

    planned = plan(study, machine, selected)
    if as_json:
        document = planned.document()
        typer.echo(json.dumps(document if script is None else {**document, "script": script}))
        return
    typer.echo(plan_text(planned))
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
