"""Generation of all responses that are not stored yet, in one stream, longest prompts first; graded as they finish."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Protocol

from icpo_cli.config.schema import Config
from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.score import answers_of
from icpo_cli.evaluate.store import ResponseStore, StoredResponse
from icpo_cli.grading.background import BackgroundGrader
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Prompt, Response, Verdict
from icpo_cli.rng import stable_hash
from icpo_cli.rollout.sampler import SampleRequest, StreamingSampler

SYNC_SECONDS = 2.0
"""Time between two flushes of the stores to the disk."""


class EvalObserver(Protocol):
    """Receives the progress of an evaluation."""

    def start(self, tasks: Sequence[tuple[Task, int]]) -> None:
        """Each task, with the number of its responses that exist already."""

    def finished(self, task: str, tokens: Sequence[int]) -> None:
        """Responses were generated and stored; `tokens`: the length of each."""

    def graded(self, task: str, verdicts: Sequence[Verdict]) -> None:
        """Verdicts on responses; those on stored responses come first."""

    def tick(self) -> None:
        """Called every few tokens during generation."""

    def phase(self, name: str) -> None:
        """A phase begins: loading the model, generating, grading, writing."""

    def note(self, text: str) -> None:
        """A message that the user should read."""


Batch = tuple[ResponseStore, list[Key]]
"""Responses of one task that are graded together."""
Pending = tuple[ResponseStore, Prompt, int]
"""A response to generate: its store, prompt and index."""


def pending_of(stores: Sequence[ResponseStore]) -> list[Pending]:
    """The responses that are not stored yet: longest prompts first, the responses to one prompt together."""
    pending = [
        (store, prompt, index)
        for store in stores
        for prompt in store.task.prompts
        for index in range(store.task.k)
        if (prompt.id, index) not in store.responses
    ]
    return sorted(pending, key=lambda one: -len(one[1].tokens))


def generate(
    config: Config,
    stores: Sequence[ResponseStore],
    pending: Sequence[Pending],
    sampler: StreamingSampler | None,
    verifier: Verifier,
    observer: EvalObserver,
    stopping: Callable[[], bool],
) -> None:
    """Generate, store and grade all pending responses, or those that finish before `stopping` returns true.

    `sampler` may be None if nothing is pending. The seed of a response depends on neither k, eval.limit nor the other
    requests.
    """
    by_name = {store.task.name: store for store in stores}

    def submit(store: ResponseStore, responses: Sequence[StoredResponse]) -> None:
        if responses:
            tag = store, [response.key for response in responses]
            grader.submit(tag, answers_of(store.task, responses), store.task.grading)

    def take(graded: Sequence[tuple[Batch, list[Verdict]]]) -> None:
        for (store, keys), verdicts in graded:
            store.add_verdicts(dict(zip(keys, verdicts, strict=True)))
            observer.graded(store.task.name, verdicts)

    with BackgroundGrader[Batch](verifier) as grader:
        for store in stores:
            stored, known = store.of_task(), store.verdicts
            observer.graded(store.task.name, [known[response.key] for response in stored if response.key in known])
            submit(store, [response for response in stored if response.key not in known])
        synced = monotonic()
        requests = [
            SampleRequest(prompt.tokens, stable_hash(config.seed, store.task.name, prompt.id, index))
            for store, prompt, index in pending
        ]
        steps = sampler.stream(requests, config.eval.temperature) if sampler and requests else ()
        for finished in steps:
            for name, responses in _by_task(pending, requests, finished).items():
                by_name[name].add(responses)
                observer.finished(name, [len(response.tokens or ()) for response in responses])
                submit(by_name[name], responses)
            take(grader.ready())
            observer.tick()
            if monotonic() - synced > SYNC_SECONDS:
                for store in stores:
                    store.sync()
                synced = monotonic()
            if stopping():
                return
        observer.phase("grading")
        take(grader.rest())


def _by_task(
    pending: Sequence[Pending], requests: Sequence[SampleRequest], finished: Sequence[tuple[int, Response]]
) -> Mapping[str, list[StoredResponse]]:
    found: dict[str, list[StoredResponse]] = {}
    for position, response in finished:
        store, prompt, index = pending[position]
        stored = StoredResponse.sampled(prompt.id, index, requests[position].seed, response)
        found.setdefault(store.task.name, []).append(stored)
    return found
