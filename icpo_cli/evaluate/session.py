"""An evaluation from what the user asked to its outcome: by a model, of given responses, or of an earlier one's."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from icpo_cli.config.check import check_evaluation
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import resolve_names
from icpo_cli.errors import UserError
from icpo_cli.evaluate.generate import Work, generate, missing_of
from icpo_cli.evaluate.given import read_responses
from icpo_cli.evaluate.grade import grade
from icpo_cli.evaluate.load import load_benchmarks
from icpo_cli.evaluate.observer import Observer, Start
from icpo_cli.evaluate.past import Past
from icpo_cli.evaluate.plan import Key, Task, tasks_of
from icpo_cli.evaluate.prepare import Prepared, prepare
from icpo_cli.evaluate.record import Outcome, Watch, Wish, recorded
from icpo_cli.evaluate.score import Part
from icpo_cli.evaluate.store import Store, Stored
from icpo_cli.evaluate.subject import Subject
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.rollout.sampler import StreamingSampler


def evaluate_model(config: Config, subject: Subject, names: Sequence[str], wish: Wish, watch: Watch) -> Outcome:
    """Generate what is not stored yet, grade, score. Raises UserError before an engine starts, RunFailed after."""
    check_evaluation(config)
    config = _named(config, subject.name, names)
    loaded = load_benchmarks(names, config)
    tasks = tasks_of(config, loaded.benchmarks)
    prepared = prepare(config, subject, tasks)
    with ExitStack() as stack:
        works = [
            Work(task, prompts, stack.enter_context(Store(folder, identity)))
            for task, prompts, folder, identity in prepared.works
        ]
        verifier = stack.enter_context(Verifier(config.reward))
        verifier.start()
        stop = stack.enter_context(StopSignal())
        facts = {"eval.source": "model", "model.name": subject.name, "model.fingerprint": prepared.fingerprint}
        record = stack.enter_context(recorded(config, subject.run_id, facts, loaded, verifier, stop, watch))
        seconds = _generate(config, prepared, works, verifier, record.observer, stop)
        tokens = sum(work.tokens for work in works)
        parts = [
            Part(work.task, work.store.responses, work.verdicts, seconds * work.tokens / max(tokens, 1))
            for work in works
        ]
        return record.conclude(subject.name, parts, {}, loaded.missing, wish, verifier)


def evaluate_responses(
    config: Config, path: Path, label: str, names: Sequence[str], wish: Wish, watch: Watch
) -> Outcome:
    """Grade and score responses made elsewhere."""
    check_evaluation(config)
    config = _named(config, label, names)
    loaded = load_benchmarks(names, config)
    tasks = tasks_of(config, loaded.benchmarks)
    given = read_responses(path, tasks)
    with ExitStack() as stack:
        verifier = stack.enter_context(Verifier(config.reward))
        facts = {"eval.source": "responses", "model.name": label}
        record = stack.enter_context(recorded(config, None, facts, loaded, verifier, StopSignal(), watch))
        if given.unused:
            record.observer.note(f"{given.unused:,} responses past k were left out: eval.k sets it")
        parts = _graded(tasks, given.responses, verifier, record.observer)
        return record.conclude(label, parts, given.unknown, loaded.missing, wish, verifier)


def evaluate_again(past: Past, names: Sequence[str], wish: Wish, watch: Watch) -> Outcome:
    """Grade the responses of an earlier evaluation anew, and score them."""
    config = past.config
    check_evaluation(config)
    names = resolve_names(names or list(past.responses))
    absent = [name for name in names if name not in past.responses]
    if absent:
        raise UserError(f"--rescore: {past.run_id} has no responses to {', '.join(absent)}")
    loaded = load_benchmarks(names, config)
    tasks = tasks_of(config, loaded.benchmarks)
    _check_known(past, tasks)
    with ExitStack() as stack:
        verifier = stack.enter_context(Verifier(config.reward))
        facts = {"eval.source": "rescore", "eval.rescored": past.run_id, "model.name": past.model}
        record = stack.enter_context(recorded(config, past.run_id, facts, loaded, verifier, StopSignal(), watch))
        parts = [
            dataclasses.replace(part, unknown=past.unknown.get(part.task.name, 0))
            for part in _graded(tasks, past.responses, verifier, record.observer)
        ]
        return record.conclude(past.model, parts, {}, loaded.missing, wish, verifier)


def _named(config: Config, model: str, names: Sequence[str]) -> Config:
    """As it is stored: with the benchmarks, and a name that says what it is unless it was given one."""
    name = f"eval {model}" if config.name == Config().name else config.name
    return dataclasses.replace(
        config, name=name, eval=dataclasses.replace(config.eval, benchmarks=resolve_names(names))
    )


def _generate(
    config: Config, prepared: Prepared, works: Sequence[Work], verifier: Verifier, observer: Observer, stop: StopSignal
) -> float:
    """Seconds that it took."""
    wanted = missing_of(works, prepared.sampling)
    observer.start(
        {work.task.name: Start(work.task.benchmark.title, len(work.task.keys), len(work.there())) for work in works}
    )
    with ExitStack() as stack:
        sampler = None
        if wanted:
            observer.phase("loading the model")
            sampler = stack.enter_context(_engine(config, prepared))
            observer.phase("generating")
        start = perf_counter()
        generate(works, wanted, sampler, prepared.sampling.temperature, verifier, observer, lambda: stop.signal != 0)
        return perf_counter() - start


@contextmanager
def _engine(config: Config, prepared: Prepared) -> Iterator[StreamingSampler]:
    from icpo_cli.device import device_profile
    from icpo_cli.rollout.data_parallel import DataParallelSampler
    from icpo_cli.rollout.vllm_sampler import VLLMSampler

    model, profile, engines = str(prepared.model), device_profile(config), config.eval.engine.data_parallel
    sampler: VLLMSampler | DataParallelSampler
    if engines > 1:
        sampler = DataParallelSampler(engines, prepared.engine, model, config.model.dtype, profile)
    else:
        sampler = VLLMSampler(prepared.engine, model, config.model.dtype, profile)
    try:
        yield sampler
    finally:
        sampler.close()


def _graded(
    tasks: Sequence[Task], responses: Mapping[str, Mapping[Key, Stored]], verifier: Verifier, observer: Observer
) -> list[Part]:
    asked = {
        task.name: {key: responses[task.name][key] for key in task.keys if key in responses[task.name]}
        for task in tasks
    }
    observer.start({task.name: Start(task.benchmark.title, len(task.keys), len(asked[task.name])) for task in tasks})
    observer.phase("grading")
    parts = []
    for task in tasks:
        verdicts = grade(verifier, task, list(asked[task.name].values()))
        observer.graded(task.name, list(verdicts.values()))
        parts.append(Part(task, asked[task.name], verdicts))
    return parts


def _check_known(past: Past, tasks: Sequence[Task]) -> None:
    """The data of today holds every question that was answered."""
    for task in tasks:
        known = {question.id for question in task.loaded.questions}
        lost = sorted({name for name, _ in past.responses[task.name]} - known)
        if lost:
            raise UserError(
                f"--rescore {past.run_id}: {len(lost)} questions of {task.name} are not in {task.loaded.source}: "
                f"{', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}"
            )
