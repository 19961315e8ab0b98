"""`icpo train`: train a model from a configuration, or resume a run."""

import dataclasses
import json
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icpo_cli.ablate.launch.local import shares
from icpo_cli.cli.model import make_first
from icpo_cli.cli.streams import Streams
from icpo_cli.config.load import load_training, to_tree, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.device import gpus
from icpo_cli.errors import EndedAtOnce, RunFailed, UserError
from icpo_cli.models.memory import ALWAYS, IN_AN_UPDATE, OF_THE_SAMPLER, peak_gib
from icpo_cli.runs.files import existing_parent
from icpo_cli.runs.run_dir import RunDir
from icpo_cli.text import duration, printable
from icpo_cli.train.check import check
from icpo_cli.train.hosts import read_hostfile, run_on_hosts
from icpo_cli.train.launch import adopt_slurm, is_first_rank, ranks_of_environment, run_local_ranks
from icpo_cli.train.plan import TrainPlan, estimate, past_runs, plan

if TYPE_CHECKING:
    from icpo_cli.distributed import Ranks
    from icpo_cli.evaluate.score import EvalResult
    from icpo_cli.train.record import Observer
    from icpo_cli.train.session import TrainResult


def train(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.yaml ...] [key=value ...]", help="Default: the quickstart."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Resume a run: its id, the beginning of its id, or its folder.")
    ] = None,
    nproc: Annotated[int | None, typer.Option(metavar="N", min=1, help="Start N local ranks.")] = None,
    hostfile: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start over ssh on the hosts of a file of lines HOST slots=N.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print configuration and plan; start nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
) -> None:
    """Train a model. On Ctrl-C or SIGTERM it finishes the iteration, saves, and prints how to resume."""
    if nproc is not None and hostfile is not None:
        raise UserError("--nproc: cannot be combined with --hostfile, which sets the processes itself")
    adopt_slurm()
    config, resumed = _configuration(settings or [], resume)
    hosts = read_hostfile(hostfile) if hostfile is not None else {}
    ranks = nproc or sum(hosts.values()) or ranks_of_environment()
    check(config, ranks)
    if dry_run:
        _print_plan(config, ranks, as_json)
        return
    make_first(config.model)
    child_arguments = sys.argv[2:]
    if hosts:
        raise typer.Exit(run_on_hosts(hosts, without_option(child_arguments, "--hostfile")))
    if nproc is not None and nproc > 1:
        from icpo_cli.train.preflight import preflight

        preflight(config, ranks).verifier.close()
        raise typer.Exit(run_local_ranks(nproc, without_option(child_arguments, "--nproc")))
    _run_here(config, resumed, as_json)


def _configuration(settings: list[str], resume: str | None) -> tuple[Config, RunDir | None]:
    if resume is not None:
        from icpo_cli.train.session import resumed_config

        return resumed_config(resume, settings)
    return load_training(settings), None


def _run_here(config: Config, resumed: RunDir | None, as_json: bool) -> None:
    """Run this process as one rank."""
    # Must be set before a library that reads it is imported.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with Streams() as streams, ExitStack() as views:
        try:
            with streams.failures_logged(_rank_prefix()):
                outcome = _train(config, resumed, streams, views)
        except RunFailed:
            _say_what_to_check(config, streams)
            raise
        except EndedAtOnce as ended:
            raise EndedAtOnce(ended.signal, _stopped_at_once(streams)) from ended
    if is_first_rank():
        _report(config, outcome, as_json)
        if outcome.stopped_by:
            # The other ranks exit with 0: srun --kill-on-bad-exit would end this one before its record is closed.
            raise typer.Exit(128 + outcome.stopped_by)


def _train(config: Config, resumed: RunDir | None, streams: Streams, views: ExitStack) -> "TrainResult":
    from icpo_cli.cli.train_display import TrainProgress
    from icpo_cli.train.preflight import preflight
    from icpo_cli.train.session import run_training

    def watch(run: RunDir, ranks: "Ranks") -> "Observer":
        streams.log_to(run.log(ranks.rank))
        progress = TrainProgress(streams.err if ranks.first else None, config.name, config.train.iterations)
        views.enter_context(progress.display)
        return progress

    prepared = preflight(config, ranks_of_environment())
    return run_training(config, prepared, resumed, watch)


def _say_what_to_check(config: Config, streams: Streams) -> None:
    from icpo_cli.cli.doctor import first_problem

    problem = first_problem(config) if is_first_rank() else None
    if problem is not None:
        print(f"icpo doctor: {printable(problem)}", file=streams.err, flush=True)


def _stopped_at_once(streams: Streams) -> str:
    text = "stopped at once: the current iteration is lost, saved checkpoints are kept"
    return f"{text}; resume with: icpo train --resume {streams.path.parent.name}" if streams.path else text


def _rank_prefix() -> str:
    return "" if is_first_rank() else f"rank {os.environ['RANK']}: "


def without_option(arguments: list[str], option: str) -> list[str]:
    """The command line without one option and its value."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == option:
            skip = True
        elif not argument.startswith(f"{option}="):
            kept.append(argument)
    return kept


def _print_plan(config: Config, ranks: int, as_json: bool) -> None:
    here = gpus()
    cuda = config.train.device == "cuda" or (config.train.device == "auto" and bool(here))
    planned = plan(config, ranks, cuda, here[0].total_gib if here else None)
    if as_json:
        typer.echo(json.dumps({"config": to_tree(config), "plan": dataclasses.asdict(planned)}))
        return
    typer.echo(to_yaml(config))
    size = f"{planned.parameters / 1e9:.2f} G parameters" if planned.parameters else "size unknown before download"
    typer.echo(f"plan of {config.name} on {ranks} rank{'s' if ranks > 1 else ''}")
    typer.echo(f"  model      {planned.model}, {size}")
    if planned.questions is not None:
        left_out = f"; {planned.unusable_golds:,} left out for their gold answer" if planned.unusable_golds else ""
        typer.echo(f"  questions  {planned.questions:,} for training, {planned.heldout or 0:,} held out{left_out}")
    typer.echo(f"  iterations {planned.iterations}")
    rounds = f"; up to {planned.rounds_most} times as many in several rounds" if planned.rounds_most > 1 else ""
    typer.echo(f"  responses  {planned.responses_an_iteration:,} per iteration, {planned.responses:,} in all{rounds}")
    typer.echo(f"  tokens     {planned.response_tokens_most:,} per iteration at most")
    typer.echo(f"  updates    {planned.updates_an_iteration} per iteration, {planned.updates:,} in all")
    typer.echo(f"  time       {_time_text(config, planned.cuda)}")
    for line in _memory_lines(config, planned):
        typer.echo(line)


def _memory_lines(config: Config, planned: TrainPlan) -> list[str]:
    """Memory by part, whether it fits, and disk."""
    if planned.memory_gib is None or planned.disk_gib is None or planned.host_gib is None:
        return []
    parts = planned.memory_gib
    total = "" if planned.cuda else f": {peak_gib(parts, planned.cuda):.1f} GiB per rank"
    lines = [f"  memory     estimated, with responses of full length{total}"]
    for name, members in (("always", ALWAYS), ("in an update", IN_AN_UPDATE), ("sampler", OF_THE_SAMPLER)):
        present = {part: parts[part] for part in members if parts.get(part)}
        text = ", ".join(f"{part} {size:.2f}" for part, size in present.items())
        lines.append(f"             {sum(present.values()):8.2f}  {name}: {text}")
    for name, fit in planned.cards.items():
        phases = f"rollout {fit.rollout:.1f}, update {fit.update:.1f} GiB"
        cache = fit.cache / parts["key_value_cache"]
        good = f"fits; the key-value cache has room for {cache:.0f} responses of full length at once"
        lines.append(f"  {f'{name} GPU':<10} {phases}: {good if fit.fix is None else fit.fix}")
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    little = ", too little" if planned.host_gib > available else ""
    lines.append(f"  host       {planned.host_gib:.1f} GiB on one host; this machine has {available:.1f}{little}")
    free = shutil.disk_usage(existing_parent(Path(config.train.output_dir))).free / 2**30
    sizes = ", ".join(f"{part} {size:,.1f}" for part, size in planned.disk_gib.items())
    lines.append(f"  disk       {sum(planned.disk_gib.values()):,.1f} GiB at most ({sizes}); {free:,.1f} free here")
    return lines


def _time_text(config: Config, cuda: bool) -> str:
    """Estimated duration of the run on this machine, and the basis of the estimate."""
    [machine] = shares(1, uses_gpus=cuda)
    past = past_runs(Path(config.train.output_dir))
    found = estimate(config, past, None if cuda else len(machine.cores))
    return f"{duration(found.seconds)} ({found.basis})"


def _report(config: Config, outcome: "TrainResult", as_json: bool) -> None:
    from icpo_cli.evaluate.table import result_text

    evaluations = dict(sorted(outcome.evaluations.items()))
    first, last = next(iter(evaluations), 0), max(evaluations, default=0)
    if as_json:
        document: dict[str, Any] = {
            "run_id": outcome.run_id,
            "iterations": outcome.iterations,
            "checkpoint": str(outcome.checkpoint) if outcome.checkpoint else None,
            "metrics": outcome.metrics,
            "eval": {task: _summary(result) for task, result in evaluations.get(last, {}).items()},
            "eval_before": {task: _summary(result) for task, result in evaluations.get(first, {}).items()},
        }
        typer.echo(json.dumps(document))
    else:
        for step in sorted({first, last}):
            for result in evaluations.get(step, {}).values():
                typer.echo(f"after {step:>4} iterations  {result_text(result)}")
        typer.echo(f"run         {outcome.run_id}")
        typer.echo(f"checkpoint  {outcome.checkpoint or 'none'}")
    if outcome.stopped_by:
        typer.echo(
            f"stopped after iteration {outcome.iterations} of {config.train.iterations}; "
            f"resume with: icpo train --resume {outcome.run_id}",
            err=True,
        )


def _summary(result: "EvalResult") -> dict[str, Any]:
    names = ("k", "avg_at_k", "stderr", "verdicts", "response_tokens_mean", "seconds")
    return {"n": result.questions, **{name: getattr(result, name) for name in names}}
