"""Responses to rewards in one call; the loop takes several."""

from collections.abc import Sequence

import torch

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Grading, Verifier, answers_of
from icpo_cli.records import Group, LogProbs, Reward, Verdict
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.reward import reward_of, rewards_of
from icpo_cli.rewards.source import SourceInput, SourceOutput
from icpo_cli.rewards.verdicts import verdict_reward
from icpo_cli.rng import SeedKey

NO_LOGPROBS = LogProbs(*[torch.zeros(0)] * 4)
MOST_TOKENS = 100
KEY = SeedKey(0, 1, "p", 0)


def no_tokens(text: str) -> list[int]:
    raise AssertionError("this source encodes nothing")


def no_pass(groups: Sequence[Group]) -> LogProbs:
    raise AssertionError("this source asks nothing of the learner")


def rewarded(response: str, verdict: Verdict, think: bool, config: RewardConfig, key: SeedKey = KEY) -> Reward:
    """The reward of one response within the length limit."""
    return reward_of(response, verdict, verdict_reward(verdict, config, key), 0.0, think, config, key)


def verdicts_of(groups: Sequence[Group], verifier: Verifier, config: RewardConfig) -> list[list[Verdict]]:
    """[P][G]"""
    return [verifier.verify(answers_of(group), Grading(config.extract, config.rule)) for group in groups]


def source_output(
    groups: Sequence[Group],
    verdicts: Sequence[Sequence[Verdict]],
    verifier: Verifier,
    config: RewardConfig,
    key: SeedKey,
    votes: Sequence[Group] | None = None,
    old: LogProbs = NO_LOGPROBS,
) -> SourceOutput:
    inputs = SourceInput(groups, votes or groups, verdicts, old, verifier, config, key, no_tokens, no_pass, None)
    return REWARD_SOURCES[config.source].compute(inputs)


def rewards(
    groups: Sequence[Group], verifier: Verifier, think: bool, config: RewardConfig, key: SeedKey
) -> list[list[Reward]]:
    verdicts = verdicts_of(groups, verifier, config)
    output = source_output(groups, verdicts, verifier, config, key)
    return rewards_of(groups, verdicts, output, think, config, MOST_TOKENS, key)
