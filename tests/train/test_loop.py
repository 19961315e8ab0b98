"""When the forward of the first update computes the old log-probs, and when the sampler sleeps."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from icpo_cli.cli.train_display import TrainProgress
from icpo_cli.config.load import load_config
from icpo_cli.data.prompts import PromptSet
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.evaluator import Evaluator
from icpo_cli.evaluate.plan import heldout_task
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response, Update
from icpo_cli.runs.checkpoints import LoopState
from icpo_cli.train.loop import Trainer, needs_logprobs_first


@pytest.mark.parametrize(
    ("settings", "fused"),
    [
        (["method=icpo"], True),
        (["method=rloo", "learner.kl_coef=0"], True),
        (["method=ttrl"], True),
        (["method=icpo", "learner.importance_cap=2"], True),
        (["method=icpo", "learner.old_logprobs=sampler"], False),  # no forward computes them
        (["method=dapo"], False),  # filters groups
        (["method=reinforce"], False),  # baseline over all groups
        (["method=intuitor"], False),  # rewards use log-probs
        (["method=verifree"], False),  # trains on other texts
        (["method=prime", "rollout.max_rounds=1", "rollout.keep=all"], False),  # token rewards
    ],
)
def test_the_first_forward_is_reused_if_advantages_need_only_their_own_group(settings: list[str], fused: bool) -> None:
    assert needs_logprobs_first(load_config(settings)) != fused


class TimeSharedSampler:
    """A sampler that must sleep whenever the learner works, and records the events of both."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.asleep = False

    def sample(self, prompts: Sequence[Prompt], seeds: Sequence[int], count: int, *rest: Any) -> list[Group]:
        assert not self.asleep
        self.events.append("sample")
        on_finished = rest[1] if len(rest) > 1 else lambda index, group: None
        groups = [Group(prompt, (Response("7", (5, 6), (-0.1, -0.2), "stop"),) * count) for prompt in prompts]
        for index, group in enumerate(groups):
            on_finished(index, group)
        return groups

    def sleep(self) -> None:
        self.asleep = True
        self.events.append("sleep")

    def wake(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        if self.asleep:
            self.load_weights(weights)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        self.asleep = False
        self.events.append(" ".join(name for name, _ in weights))

    def probe(self, tokens: Sequence[int]) -> list[float]:
        assert not self.asleep
        return [-1.0]


class TimeSharedLearner:
    """A learner without a model: log-probs of -0.1, updates that change nothing."""

    def __init__(self, sampler: TimeSharedSampler) -> None:
        self.sampler = sampler

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        yield "weights", torch.zeros(1)

    def probe(self, tokens: Sequence[int]) -> list[float]:
        return [-1.0]

    def logprobs(self, groups: Sequence[Group], with_self_certainty: bool = False) -> LogProbs:
        assert self.sampler.asleep
        self.sampler.events.append("logprobs")
        ones = torch.ones(len(groups), len(groups[0].responses), 2)
        return LogProbs(-0.1 * ones, None, ones, ones)

    def update_flops(self, groups: Sequence[Group], old: LogProbs) -> float:
        return 1.0

    def update(self, groups: Sequence[Group], advantage_of: Any, old: LogProbs) -> tuple[LogProbs, list[Update]]:
        assert self.sampler.asleep
        self.sampler.events.append("update")
        return old, [Update(0.0, 0.0, 0.0, 0.0, 0.0, None, 0.0, skipped=False)]


def test_the_sampler_sleeps_while_the_learner_works_and_wakes_with_its_weights() -> None:
    """DAPO with two rounds, because all responses are equal and each group is dropped; then an evaluation.

    An evaluation leaves every rank awake, also one that had no questions.
    """
    settings = ["method=dapo", "rollout.max_rounds=2", "rollout.prompts_per_iteration=2", "rollout.group_size=2"]
    config = load_config([*settings, "learner.mini_batch_prompts=2", "data.train.task=x", "train.iterations=2"])
    sampler: Any = TimeSharedSampler()
    prompts = tuple(Prompt(str(n), "q", Gold("7"), (1, n)) for n in range(8))
    ranks = Ranks(0, 1, 0, torch.device("cpu"))
    with StopSignal() as stop, Verifier(config.reward) as verifier:
        trainer = Trainer(
            config=config,
            ranks=ranks,
            prompts=PromptSet(prompts, (), 0, 0, (), ""),
            tasks=(),
            tokenizer=None,  # type: ignore[arg-type]
            sampler=sampler,
            verifier=verifier,
            evaluator=Evaluator(config, Path(), sampler, verifier, ranks, print),
            learner=TimeSharedLearner(sampler),  # type: ignore[arg-type]
            process_model=None,
            record=None,
            checkpoints=None,  # type: ignore[arg-type]
            observer=TrainProgress(None, "test", 2),
            stop=stop,
        )
        probe = trainer.sync_weights(None)
        state, probe = trainer.train_iteration(LoopState(), probe)
        trainer.evaluator.evaluate(1, heldout_task(config, prompts[:1]))
        trainer.train_iteration(state, probe)
    iteration = ["sample", "sleep", "logprobs", "weights", "sample", "sleep", "logprobs", "update", "weights"]
    assert sampler.events == ["weights", *iteration, "sample", *iteration]
