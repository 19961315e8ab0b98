"""A run's own evaluations, under its policy's present weights; the one before the first iteration may be shared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import icpo_cli
from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import fingerprint as prompts_fingerprint
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.heldout import BENCH, evaluate_heldout, heldout_k
from icpo_cli.evaluate.in_loop import Subset, evaluate_subset
from icpo_cli.evaluate.score import Missing, Result
from icpo_cli.evaluate.shared import Numbers, Shelf, taken_or_made
from icpo_cli.evaluate.subject import fingerprint as model_fingerprint
from icpo_cli.grading.verifier import Grading, Verifier
from icpo_cli.records import UNDECIDED, Evaluation, Prompt
from icpo_cli.rollout.sampler import Sampler
from icpo_cli.rollout.vllm_sampler import EngineSpec
from icpo_cli.track.tracker import package_versions


class Evaluator:
    """Held-out questions and benchmarks, after any number of iterations."""

    def __init__(
        self,
        config: Config,
        model: Path,
        sampler: Sampler,
        verifier: Verifier,
        ranks: Ranks,
        note: Callable[[str], None],
    ) -> None:
        """`model`: the folder of the weights before the first iteration. `note` hears of what was taken over."""
        self._config = config
        self._model = model
        self._sampler = sampler
        self._verifier = verifier
        self._ranks = ranks
        self._note = note

    def heldout(self, iteration: int, prompts: Sequence[Prompt]) -> Evaluation:
        def make() -> Evaluation:
            return evaluate_heldout(prompts, self._sampler, self._verifier, self._config, self._ranks)

        if not self._shares(iteration):
            return make()
        reward = self._config.reward
        own = _own(prompts, heldout_k(self._config), Grading(reward.extract, reward.rule))
        return Evaluation(**self._shared(BENCH, own, lambda: asdict(make())))

    def benchmark(self, iteration: int, subset: Subset) -> Result:
        def make() -> Result:
            return evaluate_subset(subset, self._sampler, self._verifier, self._config, self._ranks)

        if not self._shares(iteration):
            return make()
        task = subset.task
        own = _own(subset.prompts, task.k, task.grading) | {
            "version": task.benchmark.version,
            "data": task.loaded.fingerprint,
            "pass_at": list(self._config.eval.pass_at),
        }
        return _result(self._shared(task.name, own, lambda: asdict(make())))

    def _shares(self, iteration: int) -> bool:
        return iteration == 0 and self._config.train.shared_start is not None

    def _shared(self, what: str, own: Mapping[str, Any], make: Callable[[], Numbers]) -> Numbers:
        shelf = None
        if self._ranks.first:
            shelf = Shelf(Path(str(self._config.train.shared_start)), what, {**self._basis, "what": what, **own})
        numbers, taken = taken_or_made(shelf, self._ranks, make, _is_decided)
        if taken and shelf is not None:
            self._note(f"{what} before the first iteration: taken over from {shelf.path}")
        return numbers

    @cached_property
    def _basis(self) -> dict[str, Any]:
        """What all evaluations depend on. Not the machine or its number of threads, whose rounding may differ."""
        config = self._config
        return {
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


def _own(prompts: Sequence[Prompt], k: int, grading: Grading) -> dict[str, Any]:
    """What one evaluation depends on; the prompts' tokens hold the template, their golds what is right."""
    return {"prompts": prompts_fingerprint(prompts), "k": k, "grading": asdict(grading)}


def _is_decided(numbers: Numbers) -> bool:
    """No verdict is of the machine's or a judge's state."""
    return not any(numbers["verdicts"].get(kind.value) for kind in UNDECIDED)


def _result(numbers: Numbers) -> Result:
    """As it was before JSON."""
    return Result(
        **{
            **numbers,
            "ci95": tuple(numbers["ci95"]),
            "missing": Missing(**numbers["missing"]),
            "pass_at_k": {int(k): value for k, value in numbers["pass_at_k"].items()},
            "missing_ids": tuple(numbers["missing_ids"]),
        }
    )
