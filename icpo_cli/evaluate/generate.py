"""One pass over everything that is not stored yet: one stream, longest prompts first, no wait between benchmarks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from icpo_cli.evaluate.grade import answers_to, grading_hash
from icpo_cli.evaluate.observer import Observer
from icpo_cli.evaluate.plan import Key, Sampling, Task, seed_of
from icpo_cli.evaluate.store import Store, Stored, stored
from icpo_cli.grading.background import BackgroundGrader
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Prompt, Response, Verdict
from icpo_cli.rollout.sampler import SampleRequest, StreamingSampler

SYNC_SECONDS = 2.0
"""Between two times that the stores are put onto the disk."""


@dataclass(frozen=True)
class Wanted:
    """One response that is to be generated."""

    task: Task
    prompt: Prompt
    index: int
    seed: int

    @property
    def key(self) -> Key:
        return self.prompt.id, self.index


@dataclass
class Work:
    """One task with its prompts and its store, and the verdicts as they come."""

    task: Task
    prompts: Sequence[Prompt]
    """Of the task's questions, in their order."""
    store: Store
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    tokens: int = 0
    """Generated in this process."""

    def there(self) -> list[Stored]:
        """What there is of what is wanted, questions in order."""
        return [self.store.responses[key] for key in self.task.keys if key in self.store.responses]


def missing_of(works: Sequence[Work], sampling: Sampling) -> list[Wanted]:
    """What no store has yet, longest prompts first, the responses to one prompt together."""
    wanted = [
        Wanted(work.task, prompt, index, seed_of(sampling, work.task.name, prompt.id, index))
        for work in works
        for prompt in work.prompts
        for index in range(work.task.k)
        if (prompt.id, index) not in work.store.responses
    ]
    return sorted(wanted, key=lambda one: -len(one.prompt.tokens))


def generate(
    works: Sequence[Work],
    wanted: Sequence[Wanted],
    sampler: StreamingSampler | None,
    temperature: float,
    verifier: Verifier,
    observer: Observer,
    stopping: Callable[[], bool],
) -> None:
    """Generate, store and grade until all is there, or until `stopping`; what has finished by then is stored.

    `sampler` may be None where nothing is wanted.
    """
    by_name = {work.task.name: work for work in works}
    hashes = {work.task.name: grading_hash(verifier, work.task) for work in works}

    def submit(work: Work, responses: Sequence[Stored]) -> None:
        if responses:
            keys = [response.key for response in responses]
            grader.submit((work, keys), answers_to(work.task, responses), work.task.grading)

    def take(graded: Sequence[tuple[tuple[Work, list[Key]], list[Verdict]]]) -> None:
        for (work, keys), verdicts in graded:
            new = dict(zip(keys, verdicts, strict=True))
            work.verdicts |= new
            work.store.add_verdicts(hashes[work.task.name], new)
            observer.graded(work.task.name, verdicts)

    with BackgroundGrader[tuple[Work, list[Key]]](verifier) as grader:
        for work in works:
            known = work.store.verdicts(hashes[work.task.name])
            work.verdicts = {response.key: known[response.key] for response in work.there() if response.key in known}
            observer.graded(work.task.name, list(work.verdicts.values()))
            submit(work, [response for response in work.there() if response.key not in known])
        synced = monotonic()
        requests = [SampleRequest(one.prompt.tokens, one.seed) for one in wanted]
        for finished in sampler.stream(requests, temperature) if sampler and requests else ():
            for name, responses in _by_task(wanted, finished).items():
                work = by_name[name]
                work.store.add(responses)
                work.tokens += sum(len(response.tokens or ()) for response in responses)
                observer.finished(name, [len(response.tokens or ()) for response in responses])
                submit(work, responses)
            take(grader.ready())
            observer.tick()
            if monotonic() - synced > SYNC_SECONDS:
                for work in works:
                    work.store.sync()
                synced = monotonic()
            if stopping():
                return
        observer.phase("grading")
        take(grader.rest())


def _by_task(wanted: Sequence[Wanted], finished: Sequence[tuple[int, Response]]) -> dict[str, list[Stored]]:
    found: dict[str, list[Stored]] = {}
    for place, response in finished:
        one = wanted[place]
        found.setdefault(one.task.name, []).append(stored(one.prompt.id, one.index, one.seed, response))
    return found
