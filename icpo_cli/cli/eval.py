"""`icpo eval`: benchmarks answered by a model, or given responses, graded and scored."""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icpo_cli.cli.model import make_first
from icpo_cli.cli.streams import Streams
from icpo_cli.config.check import check_evaluation
from icpo_cli.config.load import load_config, to_tree, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.evaluate.inputs import PriorRun, model_under_test, read_prior
from icpo_cli.evaluate.plan import forecast
from icpo_cli.runs.run_dir import RunDir

if TYPE_CHECKING:
    from icpo_cli.evaluate.generate import EvalObserver
    from icpo_cli.evaluate.record import EvalOutcome

    Run = Callable[[Callable[[RunDir], EvalObserver]], EvalOutcome]


def evaluate(
    settings: Annotated[list[str] | None, typer.Argument(metavar="[FILE.yaml ...] [key=value ...]")] = None,
    bench: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A benchmark, or general, math, all; may be repeated.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PATH|HUB_ID|RUN", help="A model folder, a hub id, or a training run.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="The first N questions of each.")] = None,
    responses: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Grade {"id", "responses"} lines; --model is their label.')
    ] = None,
    rescore: Annotated[
        str | None, typer.Option(metavar="RUN", help="Grade an evaluation's responses again: its id or folder.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="Compare with an evaluation, question by question.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write results as lm-evaluation-harness does, too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print configuration and plan; start nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
) -> None:
    """Evaluate a model on benchmarks. If it is interrupted, the same command continues where it stopped."""
    arguments = [*(settings or []), *([f"eval.limit={limit}"] if limit is not None else [])]
    _check_sources(model, responses, rescore)
    if dry_run:
        _print_plan(arguments, bench or [], model, as_json)
        return

    # Before any library is imported that reads it.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    other = read_prior(against, "--against", arguments) if against else None
    run = _evaluation(arguments, bench or [], model, responses, rescore, other, export)
    outcome = _watched(run, model or rescore or "")
    _report(outcome, as_json)
    if outcome.stopped_by:
        typer.echo("stopped: what was generated is stored, and the same command continues from there", err=True)
        raise typer.Exit(128 + outcome.stopped_by)


def _check_sources(model: str | None, responses: Path | None, rescore: str | None) -> None:
    if responses is not None and rescore is not None:
        raise UserError("--responses: not together with --rescore, which has its own")
    if rescore is not None and model is not None:
        raise UserError("--model: not together with --rescore, whose responses exist already")
    if rescore is None and responses is None and model is None:
        raise UserError("--model: name a model folder, a hub id or a training run")


def _print_plan(arguments: list[str], bench: list[str], model: str | None, as_json: bool) -> None:
    config = model_under_test(model, arguments)[1] if model is not None else load_config(arguments)
    check_evaluation(config)
    planned = forecast(config, _names(bench, config))
    if as_json:
        plan = {"benchmarks": planned, "responses": sum(each["responses"] for each in planned)}
        typer.echo(json.dumps({"config": to_tree(config), "plan": plan}))
        return
    typer.echo(to_yaml(config))
    typer.echo(f"plan of an evaluation of {model or 'given responses'}")
    for each in planned:
        counts = f"{each['questions']:>6,} questions x {each['k']:>2} = {each['responses']:>7,} responses"
        typer.echo(f"  {each['title']:<12} {counts}  {each['data'] or 'missing: ' + each['how_to_get']}")
    most = sum(each["responses"] for each in planned if each["data"]) * config.eval.max_response_tokens
    typer.echo(f"  {'tokens':<12} {most:,} at most")


def _evaluation(
    arguments: list[str],
    bench: list[str],
    model: str | None,
    responses: Path | None,
    rescore: str | None,
    against: PriorRun | None,
    export: Path | None,
) -> "Run":
    """The evaluation to run, given an observer. Raises UserError on a mistake in its configuration or model name."""
    from icpo_cli.evaluate import session
    from icpo_cli.evaluate.record import EvalRequest

    if rescore is not None:
        prior = read_prior(rescore, "--rescore", arguments)
        return lambda watch: session.rescore(prior, EvalRequest(watch, tuple(bench), against, export))
    if responses is not None:
        config, label = load_config(arguments), model or responses.stem
        names = _names(bench, config)
        return lambda watch: session.evaluate_responses(
            config, responses, label, EvalRequest(watch, names, against, export)
        )
    subject, settings = model_under_test(str(model), arguments)
    benchmarks = _names(bench, settings)
    make_first(subject.model)
    return lambda watch: session.evaluate_model(settings, subject, EvalRequest(watch, benchmarks, against, export))


def _names(bench: list[str], config: Config) -> tuple[str, ...]:
    """Names of benchmarks: those of --bench, otherwise those of the configuration."""
    if not bench and not config.eval.benchmarks:
        raise UserError("--bench: name a benchmark of `icpo bench list`, or general, math or all")
    return tuple(bench or config.eval.benchmarks)


def _watched(run: "Run", title: str) -> "EvalOutcome":
    """Run it with the output of libraries in the evaluation's log and progress on the terminal."""
    from icpo_cli.cli.eval_display import EvalProgress

    with Streams() as streams, ExitStack() as views:

        def watch(run: RunDir) -> "EvalObserver":
            streams.log_to(run.eval_log)
            progress = EvalProgress(streams.err, title)
            views.enter_context(progress.display)
            return progress

        with streams.failures_logged():
            return run(watch)


def _report(outcome: "EvalOutcome", as_json: bool) -> None:
    from icpo_cli.cli.eval_display import print_outcome

    if as_json:
        typer.echo(json.dumps(outcome.document()))
    else:
        print_outcome(outcome)
