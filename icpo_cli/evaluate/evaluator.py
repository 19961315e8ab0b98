"""Evaluation during training: benchmarks and held-out questions under the policy's current weights."""

import dataclasses
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import icpo_cli
from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import load_benchmark, resolve_names
from icpo_cli.data.prompts import Tokenizer
from icpo_cli.data.prompts import fingerprint as prompts_fingerprint
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks
from icpo_cli.errors import UserError
from icpo_cli.evaluate.inputs import RESULT_VERSION, model_fingerprint
from icpo_cli.evaluate.plan import Task, benchmark_task, data_folder, prompts_of
from icpo_cli.evaluate.result_cache import Numbers, ResultCache, get_or_compute
from icpo_cli.evaluate.score import EvalResult, TaskResponses, grade, score
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.grading.verifier import Verifier
from icpo_cli.rng import stable_hash
from icpo_cli.rollout.sampler import Sampler
from icpo_cli.rollout.vllm_sampler import EngineSpec
from icpo_cli.track.tracker import package_versions


class Evaluator:
    """Evaluates tasks after any number of iterations; results before the first one may be shared between runs."""

    def __init__(
        self,
        config: Config,
        model: Path,
        sampler: Sampler,
        verifier: Verifier,
        ranks: Ranks,
        note: Callable[[str], None],
    ) -> None:
        """`model`: folder of the weights before the first iteration. `note` receives messages about cached results."""
        self._config = config
        self._model = model
        self._sampler = sampler
        self._verifier = verifier
        self._ranks = ranks
        self._note = note

    def evaluate(self, iteration: int, task: Task) -> EvalResult:
        """The task's result on every rank; with train.shared_start, that before the first iteration may be cached."""
        folder = self._config.train.shared_start
        if iteration > 0 or folder is None:
            return self._evaluate(task)
        cache = ResultCache(Path(folder), task.name, self._identity(task)) if self._ranks.first else None
        numbers, cached = get_or_compute(cache, self._ranks, lambda: self._evaluate(task).document(), _is_decided)
        if cached and cache is not None:
            self._note(f"{task.name} before the first iteration: reused from {cache.path}")
        return EvalResult.from_document(numbers)

    def _evaluate(self, task: Task) -> EvalResult:
        """Sample and grade this rank's prompts, then score all ranks'. Seeds depend on the question alone."""
        start = perf_counter()
        prompts = self._ranks.shard(task.prompts)
        seeds = [stable_hash(self._config.seed, task.name, prompt.id) for prompt in prompts]
        temperature = self._config.eval.temperature
        groups = self._sampler.sample(prompts, seeds, task.k, temperature) if prompts else []
        own = [
            StoredResponse.sampled(group.prompt.id, index, seed, response)
            for group, seed in zip(groups, seeds, strict=True)
            for index, response in enumerate(group.responses)
        ]
        verdicts = grade(self._verifier, task, own)
        shares = self._ranks.all_gather([(response, verdicts[response.key]) for response in own])
        graded = [pair for share in shares for pair in share]
        part = TaskResponses(
            task,
            {response.key: response for response, _ in graded},
            {response.key: verdict for response, verdict in graded},
            seconds=perf_counter() - start,
        )
        return score(part, self._config.eval.pass_at)

    def _identity(self, task: Task) -> dict[str, Any]:
        """Everything that the task's result depends on; the prompts' tokens include the template."""
        return self._common_identity | {
            "what": task.name,
            "prompts": prompts_fingerprint(task.prompts),
            "k": task.k,
            "grading": asdict(task.grading),
            "version": task.version,
            "data": task.fingerprint,
            "pass_at": list(self._config.eval.pass_at),
        }

    @cached_property
    def _common_identity(self) -> dict[str, Any]:
        """The part that all results share. Not the machine or its threads, although they may round differently."""
        config = self._config
        return {
            "result": RESULT_VERSION,
            "model": model_fingerprint(self._model),
            "dtype": config.model.dtype,
            "device": device_profile(config).type,
            "ranks": self._ranks.size,
            "sampler": asdict(EngineSpec.of_rollout(config)),
            "temperature": config.eval.temperature,
            "seed": config.seed,
            "verifier": self._verifier.version,
            "packages": {"icpo": icpo_cli.__version__, **package_versions()},
        }


def benchmark_tasks(config: Config, tokenizer: Tokenizer) -> list[Task]:
    """The tasks of eval.benchmarks, with prompts.

    Raises UserError if data is missing or a prompt is longer than rollout.max_prompt_tokens.
    """
    loaded = [load_benchmark(name, data_folder(config)) for name in resolve_names(config.eval.benchmarks)]
    tasks = []
    for task in [benchmark_task(config, each) for each in loaded]:
        prompts = prompts_of(config, task, tokenizer)[: len(task.questions)]
        over = [prompt for prompt in prompts if len(prompt.tokens) > config.rollout.max_prompt_tokens]
        if over:
            raise UserError(
                f"eval.benchmarks: {len(over)} of {len(prompts)} prompts of {task.name} are over "
                f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens}: question {over[0].id} has "
                f"{len(over[0].tokens)}"
            )
        tasks.append(dataclasses.replace(task, prompts=prompts))
    return tasks


def _is_decided(numbers: Numbers) -> bool:
    return EvalResult.from_document(numbers).decided
