"""One evaluation from request to outcome: by a model, of responses from a file, or of an earlier evaluation's."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from icpo_cli.config.check import check_evaluation
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import resolve_names
from icpo_cli.errors import UserError
from icpo_cli.evaluate.generate import generate, pending_of
from icpo_cli.evaluate.inputs import ModelUnderTest, PriorRun, read_responses
from icpo_cli.evaluate.plan import Key, Task, load_tasks
from icpo_cli.evaluate.prepare import GenerationPlan, prepare
from icpo_cli.evaluate.record import EvalOutcome, EvalRequest, EvalRun, recorded
from icpo_cli.evaluate.score import TaskResponses, grade
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.rollout.sampler import StreamingSampler
from icpo_cli.runs.run_dir import MODEL_ITERATION


def evaluate_model(config: Config, model: ModelUnderTest, request: EvalRequest) -> EvalOutcome:
    """Generate the responses that are not stored yet, grade and score all.

    Raises UserError before an engine starts, RunFailed after.
    """
    check_evaluation(config)
    config = _named(config, model.name, request)
    tasks, missing = load_tasks(config, request.benchmarks)
    plan = prepare(config, model, tasks)
    with ExitStack() as stack:
        for each in plan.tasks:
            stack.enter_context(each.store)
        verifier = stack.enter_context(Verifier(config.reward))
        verifier.start()
        stop = stack.enter_context(StopSignal())
        facts = {"eval.source": "model", "model.fingerprint": plan.fingerprint}
        if model.iteration is not None:
            facts[MODEL_ITERATION] = str(model.iteration)
        record = recorded(config, model.name, facts, tasks, missing, request, verifier, stop, model.run_id)
        run = stack.enter_context(record)
        seconds = _generate(run, plan)
        tokens = sum(each.tokens for each in plan.tasks)
        return run.conclude(
            [
                TaskResponses(each.task, each.store.responses, each.verdicts, seconds * each.tokens / max(tokens, 1))
                for each in plan.tasks
            ]
        )


def evaluate_responses(config: Config, path: Path, label: str, request: EvalRequest) -> EvalOutcome:
    """Grade and score responses from a file; `label` is used as the model's name."""
    check_evaluation(config)
    config = _named(config, label, request)
    tasks, missing = load_tasks(config, request.benchmarks)
    stored = read_responses(path, tasks)
    with ExitStack() as stack:
        verifier = stack.enter_context(Verifier(config.reward))
        facts = {"eval.source": "responses"}
        run = stack.enter_context(recorded(config, label, facts, tasks, missing, request, verifier, StopSignal()))
        if stored.unused:
            run.observer.note(f"{stored.unused:,} responses past k were left out: eval.k sets it")
        return run.conclude(_graded(run, tasks, stored.responses), stored.unknown)


def rescore(prior: PriorRun, request: EvalRequest) -> EvalOutcome:
    """Grade and score the responses of an earlier evaluation again; by default those to all its benchmarks."""
    config = prior.config
    check_evaluation(config)
    names = resolve_names(request.benchmarks or list(prior.responses))
    absent = [name for name in names if name not in prior.responses]
    if absent:
        raise UserError(f"--rescore: {prior.run_id} has no responses to {', '.join(absent)}")
    tasks, missing = load_tasks(config, names)
    _check_known(prior, tasks)
    with ExitStack() as stack:
        verifier = stack.enter_context(Verifier(config.reward))
        facts = {"eval.source": "rescore", "eval.rescored": prior.run_id}
        record = recorded(config, prior.model, facts, tasks, missing, request, verifier, StopSignal(), prior.run_id)
        run = stack.enter_context(record)
        return run.conclude(
            [
                dataclasses.replace(part, unknown=prior.unknown.get(part.task.name, 0))
                for part in _graded(run, tasks, prior.responses)
            ]
        )


def _named(config: Config, model: str, request: EvalRequest) -> Config:
    """The configuration as it is stored: with the benchmarks, and a name made of the model's unless one is set."""
    name = f"eval {model}" if config.name == Config().name else config.name
    return dataclasses.replace(
        config, name=name, eval=dataclasses.replace(config.eval, benchmarks=resolve_names(request.benchmarks))
    )


def _generate(run: EvalRun, plan: GenerationPlan) -> float:
    """Generate and grade what is not stored; returns the seconds that it took."""
    tasks, pending, observer = plan.tasks, pending_of(plan.tasks), run.observer
    observer.start([(each.task, len(each.stored())) for each in tasks])
    with ExitStack() as stack:
        sampler = None
        if pending:
            observer.phase("loading the model")
            sampler = stack.enter_context(_engine(run.config, plan))
            observer.phase("generating")
        start = perf_counter()
        generate(tasks, pending, sampler, plan.sampling, run.verifier, observer, lambda: run.stop.signal != 0)
        return perf_counter() - start


@contextmanager
def _engine(config: Config, plan: GenerationPlan) -> Iterator[StreamingSampler]:
    from icpo_cli.device import device_profile
    from icpo_cli.rollout.data_parallel import DataParallelSampler
    from icpo_cli.rollout.vllm_sampler import VLLMSampler

    model, profile, engines = str(plan.model), device_profile(config), config.eval.engine.data_parallel
    sampler: VLLMSampler | DataParallelSampler
    if engines > 1:
        sampler = DataParallelSampler(engines, plan.engine, model, config.model.dtype, profile)
    else:
        sampler = VLLMSampler(plan.engine, model, config.model.dtype, profile)
    try:
        yield sampler
    finally:
        sampler.close()


def _graded(
    run: EvalRun, tasks: Sequence[Task], responses: Mapping[str, Mapping[Key, StoredResponse]]
) -> list[TaskResponses]:
    """Each task's existing responses, with a verdict on each."""
    used = {
        task.name: {key: responses[task.name][key] for key in task.keys if key in responses[task.name]}
        for task in tasks
    }
    run.observer.start([(task, len(used[task.name])) for task in tasks])
    run.observer.phase("grading")
    parts = []
    for task in tasks:
        verdicts = grade(run.verifier, task, list(used[task.name].values()))
        run.observer.graded(task.name, list(verdicts.values()))
        parts.append(TaskResponses(task, used[task.name], verdicts))
    return parts


def _check_known(prior: PriorRun, tasks: Sequence[Task]) -> None:
    """Raises UserError if the data no longer contains a question that was answered."""
    for task in tasks:
        known = {question.id for question in task.available}
        lost = sorted({question for question, _ in prior.responses[task.name]} - known)
        if lost:
            raise UserError(
                f"--rescore {prior.run_id}: {len(lost)} questions of {task.name} are not in {task.source}: "
                f"{', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
            )
