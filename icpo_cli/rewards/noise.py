"""Reward noise (App. B.1), a pure function of seed, iteration, prompt and response.

Arms with the same seed get the same noise, and so does a resumed run.
"""

from icpo_cli.config.schema import NoiseConfig
from icpo_cli.rng import SeedKey, stable_hash

RANGE = 2**62
"""Range of stable_hash."""
DRAWS = ("noise", "sign", "flip", "coin")
"""The independent random draws of a response."""


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
