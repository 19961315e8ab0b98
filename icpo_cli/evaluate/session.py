"""An evaluation from what the user asked to its outcome: by a model, of given responses, or of an earlier one's."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from icpo_cli.config.check import check_evaluation
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS, LoadedBenchmark, resolve_names
from icpo_cli.data.benchmarks.load import find, load
from icpo_cli.errors import UserError
from icpo_cli.evaluate.compare import compare
from icpo_cli.evaluate.generate import Work, generate, missing_of
from icpo_cli.evaluate.given import read_responses
from icpo_cli.evaluate.grade import grade
from icpo_cli.evaluate.observer import Observer, Start
from icpo_cli.evaluate.past import Past
from icpo_cli.evaluate.plan import Key, Task, data_folder, tasks_of
from icpo_cli.evaluate.prepare import Prepared, prepare
from icpo_cli.evaluate.record import Outcome, export, write_outcome
from icpo_cli.evaluate.score import Part, score
from icpo_cli.evaluate.stop import StopSignal
from icpo_cli.evaluate.store import Store, Stored
from icpo_cli.evaluate.subject import Subject
from icpo_cli.rewards.verifier import Verifier
from icpo_cli.rollout.sampler import StreamingSampler
from icpo_cli.track.tracker import Tracker

Watch = Callable[[Path], Observer]
"""Called once the evaluation's folder is known."""


@dataclass(frozen=True)
class Wish:
    """What is asked beside the configuration."""

    against: Past | None = None
    export: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """The benchmarks that are there, and those whose data is not to be had with how to get it."""

    benchmarks: tuple[LoadedBenchmark, ...]
    missing: dict[str, str]


def load_benchmarks(names: Sequence[str], config: Config) -> Loaded:
    """Raises UserError on an unknown name, on data that is at fault, and where none of them is there."""
    loaded, missing = [], {}
    folder = data_folder(config)
    resolved = resolve_names(names)
    for name in resolved:
        try:
            loaded.append(load(BENCHMARKS[name], folder))
        except UserError as error:
            if len(resolved) == 1 or find(BENCHMARKS[name], folder) is not None:
                raise
            missing[name] = str(error)
    if not loaded:
        raise UserError(f"none of the benchmarks' data is there: {'; '.join(missing.values())}")
    return Loaded(tuple(loaded), missing)


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
        stop = stack.enter_context(StopSignal())
        facts = {"eval.source": "model", "model.name": subject.name, "model.fingerprint": prepared.fingerprint}
        record = stack.enter_context(_recorded(config, subject.run_id, facts, loaded, verifier, stop, watch))
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
        record = stack.enter_context(_recorded(config, None, facts, loaded, verifier, StopSignal(), watch))
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
        record = stack.enter_context(_recorded(config, past.run_id, facts, loaded, verifier, StopSignal(), watch))
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
    from icpo_cli.rollout.side_by_side import SideBySide
    from icpo_cli.rollout.vllm_sampler import VLLMSampler

    model, profile, engines = str(prepared.model), device_profile(config), config.eval.engine.data_parallel
    sampler: VLLMSampler | SideBySide
    if engines > 1:
        sampler = SideBySide(engines, prepared.engine, model, config.model.dtype, profile)
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


@dataclass(frozen=True)
class _Record:
    """The evaluation's record while it is open."""

    config: Config
    tracker: Tracker
    observer: Observer
    stop: StopSignal

    def conclude(
        self,
        model: str,
        parts: Sequence[Part],
        unknown: Mapping[str, tuple[str, ...]],
        missing: dict[str, str],
        wish: Wish,
        verifier: Verifier,
    ) -> Outcome:
        """Score, compare and write all down."""
        self.observer.phase("writing")
        parts = [
            dataclasses.replace(part, unknown=part.unknown + len(unknown.get(part.task.name, ()))) for part in parts
        ]
        outcome = Outcome(
            run_id=self.tracker.run_id,
            folder=self.tracker.folder.resolve(),
            model=model,
            results=tuple(score(part, self.config.eval.pass_at) for part in parts),
            missing=missing,
            unknown=dict(unknown),
            comparisons=tuple(compare(parts, _others(wish.against, parts, verifier))) if wish.against else (),
            against=wish.against.run_id if wish.against else None,
            stopped_by=self.stop.signal,
        )
        if wish.export is not None:
            outcome = dataclasses.replace(outcome, exported=export(outcome, parts, self.config, wish.export))
        write_outcome(outcome, parts, self.tracker)
        return outcome


@contextmanager
def _recorded(
    config: Config,
    parent: str | None,
    facts: Mapping[str, str],
    loaded: Loaded,
    verifier: Verifier,
    stop: StopSignal,
    watch: Watch,
) -> Iterator[_Record]:
    """The evaluation's run, and its status in MLflow however the block ends."""
    tracker = Tracker.create(config, config.eval.output_dir, parent)
    status = "FAILED"
    try:
        observer = watch(tracker.folder)
        tracker.warn = observer.note
        benchmarks = {
            f"data.{what}.{each.benchmark.name}": value
            for each in loaded.benchmarks
            for what, value in (("source", each.source), ("fingerprint", each.fingerprint))
        }
        tracker.describe(config, {**facts, **benchmarks, "verifier.version": verifier.version})
        for why in loaded.missing.values():
            observer.note(why)
        yield _Record(config, tracker, observer, stop)
        status = "KILLED" if stop.signal else "FINISHED"
    finally:
        tracker.end(status)


def _others(past: Past, parts: Sequence[Part], verifier: Verifier) -> list[Part]:
    """The responses of the evaluation compared with, to the same questions and graded the same way."""
    others = []
    for part in parts:
        responses = past.responses.get(part.task.name)
        if responses:
            k = 1 + max(index for _, index in responses)
            task = dataclasses.replace(part.task, k=k)
            asked = [responses[key] for key in task.keys if key in responses]
            others.append(Part(task, responses, grade(verifier, task, asked)))
    return others
