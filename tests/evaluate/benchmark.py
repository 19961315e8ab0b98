"""A benchmark of sums, and a sampler that needs no model: stand-ins of the tests of evaluate/."""

from collections.abc import Iterator, Sequence

from icpo_cli.data.benchmarks import Benchmark, LoadedBenchmark
from icpo_cli.data.benchmarks.load import fingerprint
from icpo_cli.evaluate.plan import Sampling, Task
from icpo_cli.grading.verifier import Grading
from icpo_cli.records import Gold, Prompt, Question, Response
from icpo_cli.rollout.sampler import SampleRequest

SAMPLING = Sampling(temperature=1.0, max_response_tokens=8, seed=0, dtype="bfloat16", stop=(), engine="none")


def make_task(name: str = "sums", count: int = 4, k: int = 2, limit: int | None = None) -> Task:
    questions = tuple(Question(f"{name}/{n}", f"{n} + 1 = ?", Gold(str(n + 1))) for n in range(count))
    benchmark = Benchmark(
        name=name,
        title=name.title(),
        group="math",
        version="1",
        count=count,
        k=k,
        kinds=("number",),
        sources=(),
        licence="none",
        about="sums",
        pitfalls=(),
        own_form=lambda question: f"Add: {question.text}",
    )
    loaded = LoadedBenchmark(benchmark, questions, "here", None, fingerprint(questions))
    return Task(loaded, questions[:limit], k, Grading("auto", "strict"))


def prompts_for(task: Task) -> list[Prompt]:
    """The n-th question has n + 1 tokens."""
    return [Prompt(q.id, q.text, q.gold, tuple(range(n + 1))) for n, q in enumerate(task.questions)]


class CountingSampler:
    """Answers a prompt of n tokens with n, two requests a step, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[SampleRequest] = []

    def stream(self, requests: Sequence[SampleRequest], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        self.asked.extend(requests)
        for start in range(0, len(requests), 2):
            places = range(start, min(start + 2, len(requests)))
            yield [(place, self._answer(requests[place])) for place in places]
            yield []

    def close(self) -> None: ...

    def _answer(self, request: SampleRequest) -> Response:
        text = f"<answer>{len(request.tokens)}</answer>"
        return Response(text, (5, 6, 7), (-0.1, -0.2, -0.3), "stop")
