"""Wrong rewards on purpose (App. B.1): a function of seed, iteration, prompt and response alone.

Arms with equal seeds see equal noise, and a resumed run the noise it would have seen.
"""

from icpo_cli.config.schema import NoiseConfig
from icpo_cli.rng import SeedKey, stable_hash

RANGE = 2**62
"""Of a stable hash."""
DRAWS = ("noise", "sign", "flip", "coin")
"""What chance decides of a response, each by a number of its own."""


def noise_of(config: NoiseConfig, key: SeedKey) -> float:
    """What is added to R_verif of the response that `key` names: 0, or the magnitude up or down with equal chance."""
    if _uniform("noise", key) >= config.fraction:
        return 0.0
    return config.magnitude if _uniform("sign", key) < 0.5 else -config.magnitude


def rewarded_as_correct(correct: bool, config: NoiseConfig, key: SeedKey) -> bool:
    """The verdict as the reward takes it, after flips."""
    rate = config.false_negative if correct else config.false_positive
    return not correct if _uniform("flip", key) < rate else correct


def coin_of(key: SeedKey) -> bool:
    """A fair coin: the answer's part of the reward under reward.control=random."""
    return _uniform("coin", key) < 0.5


def draws_of(key: SeedKey) -> tuple[float, ...]:
    """The numbers behind all of these for `key`, before any setting makes something of them."""
    return tuple(_uniform(name, key) for name in DRAWS)


def _uniform(name: str, key: SeedKey) -> float:
    """In [0, 1)."""
    return stable_hash(name, *key.parts) / RANGE
