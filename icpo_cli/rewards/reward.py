"""R_verif = answer_weight * answer + format_weight * format (Eq. 10)."""

import re

from icpo_cli.config.schema import RewardConfig
from icpo_cli.records import Reward
from icpo_cli.rewards.verifier import verify

WITH_THINK = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
ANSWER_ONLY = re.compile(r".*<answer>.*</answer>\s*", re.DOTALL)


def reward_of(response: str, gold: str, think: bool, weights: RewardConfig) -> Reward:
    """The reward of one response to a question whose answer is `gold`."""
    verdict = verify(response, gold)
    answer, format = float(verdict.correct), float(is_well_formed(response, think))
    return Reward(verdict, answer, format, weights.answer_weight * answer + weights.format_weight * format)


def is_well_formed(response: str, think: bool) -> bool:
    """Each tag exactly once and in order, nothing after the answer; without `think`, reasoning stands in the open."""
    tags = ("<think>", "</think>", "<answer>", "</answer>") if think else ("<answer>", "</answer>")
    if any(response.count(tag) != 1 for tag in tags):
        return False
    return (WITH_THINK if think else ANSWER_ONLY).fullmatch(response) is not None
