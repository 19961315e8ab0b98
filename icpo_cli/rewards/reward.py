"""R_verif = answer_weight * answer + format_weight * format (Eq. 10), plus noise where it is asked for."""

import re
from collections.abc import Sequence

from icpo_cli.config.schema import RewardConfig
from icpo_cli.records import Group, Reward, Verdict
from icpo_cli.rewards.noise import coin_of, noise_of, rewarded_as_correct
from icpo_cli.rewards.verifier import Answer, Grading, Verifier

WITH_THINK = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
ANSWER_ONLY = re.compile(r".*<answer>.*</answer>\s*", re.DOTALL)


def rewards_of(
    groups: Sequence[Group], verifier: Verifier, think: bool, config: RewardConfig, *draw: object
) -> list[list[Reward]]:
    """[P][G] rewards. `draw` (seed, iteration) places the noise."""
    answers = [
        Answer(response.text, group.prompt.gold, group.prompt.question)
        for group in groups
        for response in group.responses
    ]
    verdicts = iter(verifier.verify(answers, Grading(config.extract, config.rule)))
    return [
        [
            reward_of(response.text, next(verdicts), think, config, *draw, group.prompt.id, number)
            for number, response in enumerate(group.responses)
        ]
        for group in groups
    ]


def decided_of(rewards: Sequence[Sequence[Reward]]) -> list[bool]:
    """False for a group that holds a response nobody could judge. [P][G] -> [P]"""
    return [all(reward.verdict.decided for reward in group) for group in rewards]


def reward_of(response: str, verdict: Verdict, think: bool, config: RewardConfig, *place: object) -> Reward:
    """The reward of one response; `place` is what its noise, or a coin in the verdict's stead, is drawn from."""
    answer = float(_answer(verdict, config, *place))
    format = float(is_well_formed(response, think))
    noise = noise_of(config.noise, *place)
    verif = config.answer_weight * answer + config.format_weight * format + noise
    return Reward(verdict, answer, format, noise, verif)


def _answer(verdict: Verdict, config: RewardConfig, *place: object) -> bool:
    if config.control == "random":
        return coin_of(*place)
    return rewarded_as_correct(verdict.correct, config.noise, *place)


def is_well_formed(response: str, think: bool) -> bool:
    """Each tag exactly once and in order, nothing after the answer; without `think`, reasoning stands in the open."""
    tags = ("<think>", "</think>", "<answer>", "</answer>") if think else ("<answer>", "</answer>")
    if any(response.count(tag) != 1 for tag in tags):
        return False
    return (WITH_THINK if think else ANSWER_ONLY).fullmatch(response) is not None
