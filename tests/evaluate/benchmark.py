"""A benchmark of sums, a sampler that needs no model and an observer, for the tests of evaluate/."""

import dataclasses
from collections.abc import Iterator, Sequence

from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import LoadedBenchmark, fingerprint
from icpo_cli.evaluate.plan import Task
from icpo_cli.grading.verifier import Grading
from icpo_cli.records import Gold, Prompt, Question, Response, Verdict
from icpo_cli.rollout.sampler import SampleRequest


def make_task(name: str = "sums", count: int = 4, k: int = 2, limit: int | None = None) -> Task:
    questions = tuple(Question(f"{name}/{n}", f"{n} + 1 = ?", Gold(str(n + 1))) for n in range(count))
    return Task(
        name=name,
        title=name.title(),
        version="1",
        available=questions,
        questions=questions[:limit],
        k=k,
        grading=Grading("auto", "strict"),
        source="here",
        fingerprint=fingerprint(questions),
        own_form=lambda question: f"Add: {question.text}",
    )


def make_benchmark(name: str = "sums", k: int = 2) -> LoadedBenchmark:
    task = make_task(name, k=k)
    benchmark = Benchmark(
        name=name,
        title=task.title,
        group="math",
        version=task.version,
        count=len(task.available),
        k=k,
        kinds=("number",),
        sources=(),
        licence="none",
        about="sums",
        pitfalls=(),
        own_form=task.own_form,
    )
    return LoadedBenchmark(benchmark, task.available, task.source, None, task.fingerprint)


class SilentObserver:
    """Ignores everything."""

    def start(self, tasks: Sequence[tuple[Task, int]]) -> None: ...

    def finished(self, task: str, tokens: Sequence[int]) -> None: ...

    def graded(self, task: str, verdicts: Sequence[Verdict]) -> None: ...

    def tick(self) -> None: ...

    def phase(self, name: str) -> None: ...

    def note(self, text: str) -> None: ...


def with_prompts(task: Task) -> Task:
    return dataclasses.replace(task, prompts=prompts_for(task))


def prompts_for(task: Task) -> tuple[Prompt, ...]:
    """The n-th question has n + 1 tokens."""
    return tuple(Prompt(q.id, q.text, q.gold, tuple(range(n + 1))) for n, q in enumerate(task.questions))


class CountingSampler:
    """Answers a prompt of n tokens with n, two requests per step, and records the requests."""

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []

    def stream(self, requests: Sequence[SampleRequest], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        self.requests.extend(requests)
        for start in range(0, len(requests), 2):
            places = range(start, min(start + 2, len(requests)))
            yield [(place, self._answer(requests[place])) for place in places]
            yield []

    def close(self) -> None: ...

    def _answer(self, request: SampleRequest) -> Response:
        text = f"<answer>{len(request.tokens)}</answer>"
        return Response(text, (5, 6, 7), (-0.1, -0.2, -0.3), "stop")
