"""R_verif = answer_weight * answer + format_weight * format (Eq. 10), plus optional noise and length penalty."""

import re
from collections.abc import Sequence

from icpo_cli.config.schema import OverlongConfig, RewardConfig
from icpo_cli.records import Group, Reward, Verdict
from icpo_cli.rewards.noise import noise_of
from icpo_cli.rewards.source import SourceOutput
from icpo_cli.rng import SeedKey

WITH_THINK = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
ANSWER_ONLY = re.compile(r".*<answer>.*</answer>\s*", re.DOTALL)


def rewards_of(
    groups: Sequence[Group],
    verdicts: Sequence[Sequence[Verdict]],
    output: SourceOutput,
    think: bool,
    config: RewardConfig,
    max_response_tokens: int,
    key: SeedKey,
) -> list[list[Reward]]:
    """[P][G] rewards. `key`: seed and iteration, from which the noise is drawn."""
    return [
        [
            reward_of(
                response.text,
                verdicts[p][g],
                output.answer[p][g],
                overlong_penalty(len(response.tokens), config.overlong, max_response_tokens),
                think,
                config,
                key.at(group.prompt.id, g),
            )
            for g, response in enumerate(group.responses)
        ]
        for p, group in enumerate(groups)
    ]


def reward_of(
    response: str, verdict: Verdict, answer: float, overlong: float, think: bool, config: RewardConfig, key: SeedKey
) -> Reward:
    """The reward of one response; `key` seeds its noise."""
    well_formed = float(is_well_formed(response, think))
    noise = noise_of(config.noise, key)
    verif = config.answer_weight * answer + config.format_weight * well_formed + noise + overlong
    return Reward(verdict, answer, well_formed, noise, overlong, verif)


def overlong_penalty(tokens: int, config: OverlongConfig, max_response_tokens: int) -> float:
    """DAPO, Eq. 13: 0 up to the buffer, then linear down to -penalty at the limit."""
    if config.buffer_tokens == 0:
        return 0.0
    over = tokens - (max_response_tokens - config.buffer_tokens)
    return -config.penalty * min(max(over / config.buffer_tokens, 0.0), 1.0)


def is_well_formed(response: str, think: bool) -> bool:
    """Each tag exactly once and in order, nothing after the answer; without `think`, reasoning needs no tags."""
    tags = ("<think>", "</think>", "<answer>", "</answer>") if think else ("<answer>", "</answer>")
    if any(response.count(tag) != 1 for tag in tags):
        return False
    return (WITH_THINK if think else ANSWER_ONLY).fullmatch(response) is not None
