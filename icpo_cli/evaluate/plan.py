"""Tasks of an evaluation: their questions, the k responses to each, and how these are sampled."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS, load_benchmark, resolve_names
from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import LoadedBenchmark, find, fingerprint, how_to_get
from icpo_cli.data.prompts import STOP, TEMPLATES, Tokenizer
from icpo_cli.errors import UserError
from icpo_cli.grading.verifier import Grading
from icpo_cli.records import Prompt, Question
from icpo_cli.rng import sha256

OWN = "own"
Key = tuple[str, int]
"""A question's id, and the index (from 0) of the response among its k."""


@dataclass(frozen=True)
class Task:
    """Questions that are scored together: a benchmark, or a training run's held-out questions."""

    name: str
    title: str
    version: str
    """Changes with the questions' texts, golds or the benchmark's own form."""
    available: tuple[Question, ...]
    """Every question of the benchmark."""
    questions: tuple[Question, ...]
    """The evaluated ones: the first eval.limit."""
    k: int
    """Responses per question."""
    grading: Grading
    source: str
    """The file or hub data set that the questions come from."""
    fingerprint: str
    """sha256 over `available`."""
    own_form: Callable[[Question], str] = dataclasses.field(compare=False)
    """The benchmark's usual zero-shot request."""
    confidential: bool = False
    """The benchmark's authors ask that its questions are not published."""
    prompts: tuple[Prompt, ...] = ()
    """`questions` as the model reads them; empty where responses exist already."""
    selects_checkpoint: bool = False
    """The best checkpoint of a run is the one with the highest accuracy on this task."""

    @property
    def grid(self) -> list[list[Key]]:
        """[Q, k] keys of all responses."""
        return [[(question.id, index) for index in range(self.k)] for question in self.questions]

    @property
    def keys(self) -> list[Key]:
        return [key for row in self.grid for key in row]


def forecast(config: Config, names: Sequence[str]) -> list[dict[str, Any]]:
    """The size of each benchmark's evaluation, and the path of its data on this machine or how to get it, as JSON.

    From the configuration alone: nothing is started or fetched. Raises UserError on an unknown name.
    """
    planned = []
    for name in resolve_names(names):
        benchmark = BENCHMARKS[name]
        found = find(benchmark, data_folder(config))
        questions = min(benchmark.count, config.eval.limit or benchmark.count)
        k = responses_per_question(config, benchmark)
        planned.append(
            {
                "bench": name,
                "title": benchmark.title,
                "questions": questions,
                "k": k,
                "responses": questions * k,
                "data": str(found.path) if found else None,
                "how_to_get": None if found else how_to_get(benchmark),
            }
        )
    return planned


def load_tasks(config: Config, names: Sequence[str]) -> tuple[list[Task], dict[str, str]]:
    """The benchmarks' tasks; and for each one without data here or on the hub, how to get it.

    Raises UserError on an unknown name, on faulty data, and if no benchmark has data.
    """
    loaded, missing = [], {}
    folder = data_folder(config)
    resolved = resolve_names(names)
    for name in resolved:
        try:
            loaded.append(load_benchmark(name, folder))
        except UserError as error:
            if len(resolved) == 1 or find(BENCHMARKS[name], folder) is not None:
                raise
            missing[name] = str(error)
    if not loaded:
        raise UserError(f"none of the benchmarks has data here: {'; '.join(missing.values())}")
    return [benchmark_task(config, each) for each in loaded], missing


def benchmark_task(config: Config, loaded: LoadedBenchmark) -> Task:
    """Raises UserError if pass@k needs more responses than a question has."""
    benchmark, k = loaded.benchmark, responses_per_question(config, loaded.benchmark)
    for pass_k in config.eval.pass_at:
        if pass_k > k:
            raise UserError(
                f"eval.pass_at: pass@{pass_k} needs {pass_k} responses per question, and {benchmark.name} has {k}; "
                f"set eval.k"
            )
    return Task(
        name=benchmark.name,
        title=benchmark.title,
        version=benchmark.version,
        available=loaded.questions,
        questions=loaded.questions[: config.eval.limit],
        k=k,
        grading=Grading(config.eval.extract or benchmark.extract, config.eval.rule or benchmark.rule),
        source=loaded.source,
        fingerprint=loaded.fingerprint,
        own_form=benchmark.own_form,
        confidential=benchmark.confidential,
    )


def heldout_task(config: Config, prompts: Sequence[Prompt]) -> Task:
    """A training run's held-out questions, graded as its training responses are."""
    questions = tuple(Question(prompt.id, prompt.question, prompt.gold) for prompt in prompts)
    return Task(
        name="heldout",
        title="held-out accuracy",
        version="1",
        available=questions,
        questions=questions,
        k=1 if config.eval.k is None else config.eval.k,
        grading=Grading(config.reward.extract, config.reward.rule),
        source="data.heldout",
        fingerprint=fingerprint(questions),
        own_form=lambda question: question.text,
        prompts=tuple(prompts),
        selects_checkpoint=True,
    )


def responses_per_question(config: Config, benchmark: Benchmark) -> int:
    if config.eval.k is not None:
        return config.eval.k
    return benchmark.k if config.eval.temperature > 0 else 1


def template_of(config: Config) -> str:
    return config.eval.template or config.data.template


def stop_of(config: Config) -> tuple[str, ...]:
    """Stop strings. A benchmark's own form requests no answer tag, so none ends a response."""
    return () if template_of(config) == OWN else (STOP,)


def prompts_of(config: Config, task: Task, tokenizer: Tokenizer) -> tuple[Prompt, ...]:
    """Every available question as the model reads it. Raises UserError if the tokenizer lacks a chat template."""
    name = template_of(config)
    template = TEMPLATES["plain" if name == OWN else name]
    text_of = task.own_form if name == OWN else lambda question: question.text
    return tuple(
        Prompt(q.id, q.text, q.gold, tuple(template.render(tokenizer, text_of(q), config.data.examples)))
        for q in task.available
    )


def check_lengths(name: str, prompts: Sequence[Prompt], max_response_tokens: int, positions: int) -> None:
    """Raises UserError, naming the longest prompt, unless every prompt and its response fit the model's context."""
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


def identity_of(config: Config, model: str, engine: str, task: Task, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Everything that a response to one of the task's questions depends on; top_p is 1 and top_k is off.

    `model`: its fingerprint. `engine`: vLLM's version and the device type, as others have different rounding.
    `prompts`: of all available questions, so that eval.limit does not change the identity.
    """
    return {
        "model": model,
        "bench": task.name,
        "version": task.version,
        "data": task.fingerprint,
        "prompts": sha256(repr((prompt.id, prompt.tokens)).encode() for prompt in prompts),
        "temperature": config.eval.temperature,
        "max_response_tokens": config.eval.max_response_tokens,
        "seed": config.seed,
        "dtype": config.model.dtype,
        "stop": list(stop_of(config)),
        "engine": engine,
        "template": template_of(config),
    }


def identity_hash(identity: Mapping[str, Any]) -> str:
    return sha256([json.dumps(identity, sort_keys=True).encode()])[:16]


def data_folder(config: Config) -> Path | None:
    return None if config.eval.data_dir is None else Path(config.eval.data_dir).expanduser()
