"""What is to be generated: the questions of each benchmark as prompts, k responses each, and what they depend on."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import Benchmark, LoadedBenchmark
from icpo_cli.data.templates import STOP, TEMPLATES, Tokenizer
from icpo_cli.errors import UserError
from icpo_cli.grading.verifier import Grading
from icpo_cli.records import Prompt, Question
from icpo_cli.rng import stable_hash

OWN = "own"
Key = tuple[str, int]
"""A question's id, and the number (from 0) of the response among its k."""


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn. top_p is 1 and top_k off."""

    temperature: float
    max_response_tokens: int
    seed: int
    dtype: str
    stop: tuple[str, ...]
    engine: str
    """vLLM's version and the kind of device: other ones round otherwise."""


@dataclass(frozen=True)
class Task:
    """One benchmark's part of an evaluation."""

    loaded: LoadedBenchmark
    questions: tuple[Question, ...]
    """Those asked: the first eval.limit."""
    k: int
    grading: Grading

    @property
    def benchmark(self) -> Benchmark:
        return self.loaded.benchmark

    @property
    def name(self) -> str:
        return self.benchmark.name

    @property
    def grid(self) -> list[list[Key]]:
        """[Q, k] the responses that are wanted."""
        return [[(question.id, index) for index in range(self.k)] for question in self.questions]

    @property
    def keys(self) -> list[Key]:
        return [key for row in self.grid for key in row]


def tasks_of(config: Config, benchmarks: Sequence[LoadedBenchmark]) -> list[Task]:
    """Raises UserError on a pass@k over the responses a question."""
    tasks = []
    for loaded in benchmarks:
        k = responses_a_question(config, loaded.benchmark)
        for wanted in config.eval.pass_at:
            if wanted > k:
                raise UserError(
                    f"eval.pass_at: pass@{wanted} needs {wanted} responses a question, and "
                    f"{loaded.benchmark.name} has {k}; set eval.k"
                )
        tasks.append(Task(loaded, loaded.questions[: config.eval.limit], k, grading_of(config, loaded.benchmark)))
    return tasks


def responses_a_question(config: Config, benchmark: Benchmark) -> int:
    if config.eval.k is not None:
        return config.eval.k
    return benchmark.k if config.eval.temperature > 0 else 1


def grading_of(config: Config, benchmark: Benchmark) -> Grading:
    return Grading(config.eval.extract or benchmark.extract, config.eval.rule or benchmark.rule)


def template_of(config: Config) -> str:
    return config.eval.template or config.data.template


def stop_of(config: Config) -> tuple[str, ...]:
    """A benchmark's own form asks for no tags, so none ends a response."""
    return () if template_of(config) == OWN else (STOP,)


def prompts_of(config: Config, loaded: LoadedBenchmark, tokenizer: Tokenizer) -> list[Prompt]:
    """All the benchmark's questions as the model reads them. Raises UserError where the tokenizer lacks the form."""
    render = _renderer(config, loaded.benchmark, tokenizer)
    return [Prompt(q.id, q.text, q.gold, tuple(render(q))) for q in loaded.questions]


def check_lengths(name: str, prompts: Sequence[Prompt], max_response_tokens: int, positions: int) -> None:
    """Every prompt and its response fit the model's context. Raises UserError naming the longest."""
    over = [prompt for prompt in prompts if len(prompt.tokens) + max_response_tokens > positions]
    if not over:
        return
    longest = max(over, key=lambda prompt: len(prompt.tokens))
    length = len(longest.tokens)
    fits = f"; at most {positions - length} fit" if length < positions else ": the prompt alone is longer"
    raise UserError(
        f"{name}: {len(over)} of {len(prompts)} prompts do not fit the model's {positions:,} positions: question "
        f"{longest.id} has {length:,} tokens, eval.max_response_tokens is {max_response_tokens:,}{fits}"
    )


def identity_of(model: str, sampling: Sampling, loaded: LoadedBenchmark, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """All that a response to one of the benchmark's questions depends on. `model`: its fingerprint."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(repr((prompt.id, prompt.tokens)).encode())
    return {
        "model": model,
        "bench": loaded.benchmark.name,
        "version": loaded.benchmark.version,
        "data": loaded.fingerprint,
        "prompts": digest.hexdigest(),
        **{key: list(value) if isinstance(value, tuple) else value for key, value in vars(sampling).items()},
    }


def identity_hash(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(sampling: Sampling, bench: str, question: str, index: int) -> int:
    """Of one response: the same whatever k, limit or company it is generated in."""
    return stable_hash(sampling.seed, bench, question, index)


def data_folder(config: Config) -> Path | None:
    return None if config.eval.data_dir is None else Path(config.eval.data_dir).expanduser()


def _renderer(config: Config, benchmark: Benchmark, tokenizer: Tokenizer) -> Callable[[Question], list[int]]:
    name = template_of(config)
    template = TEMPLATES["plain" if name == OWN else name]

    def render(question: Question) -> list[int]:
        text = benchmark.own_form(question) if name == OWN else question.text
        return template.render(tokenizer, text, config.data.examples)

    return render
