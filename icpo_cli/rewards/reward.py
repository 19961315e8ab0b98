"""R_verif = answer_weight * answer + format_weight * format (Eq. 10), plus optional noise and length penalty.

Noise (App. B.1) is a pure function of seed, iteration, prompt and response: arms with the same seed get the same noise,
and so does a resumed run.
"""

import re
from collections.abc import Sequence

from icpo_cli.config.schema import NoiseConfig, OverlongConfig, RewardConfig
from icpo_cli.records import Group, Reward, Verdict
from icpo_cli.rewards.source import SourceOutput
from icpo_cli.rng import SeedKey, stable_hash

WITH_THINK = re.compile(r"\s*<think>.*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
ANSWER_ONLY = re.compile(r".*<answer>.*</answer>\s*", re.DOTALL)
RANGE = 2**62
"""Range of stable_hash."""
DRAWS = ("noise", "sign", "flip", "coin")
"""The independent random draws of a response."""


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


def noise_of(config: NoiseConfig, key: SeedKey) -> float:
    """Noise added to R_verif: 0, or plus or minus the magnitude with equal probability."""
    if _uniform("noise", key) >= config.fraction:
        return 0.0
    return config.magnitude if _uniform("sign", key) < 0.5 else -config.magnitude


def rewarded_as_correct(correct: bool, config: NoiseConfig, key: SeedKey) -> bool:
    """Whether the reward treats the response as correct, after verdict noise."""
    rate = config.false_negative if correct else config.false_positive
    return not correct if _uniform("flip", key) < rate else correct


def coin_of(key: SeedKey) -> bool:
    """A fair coin: the answer reward under reward.control=random."""
    return _uniform("coin", key) < 0.5


def draws_of(key: SeedKey) -> tuple[float, ...]:
    """All uniform draws of a response, before any setting is applied."""
    return tuple(_uniform(name, key) for name in DRAWS)


def _uniform(name: str, key: SeedKey) -> float:
    """In [0, 1)."""
    return stable_hash(name, *key.parts) / RANGE
