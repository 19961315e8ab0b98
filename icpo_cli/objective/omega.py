"""The weight of the bonus over training (Section 3.4, Figure 2).

A schedule is a function of the iteration t in 0..T, where T is the number of iterations, and T_w = warmup_fraction * T.
Iterations are counted from 1, so the last one runs at t = T.
"""

import math
from collections.abc import Callable

from icpo_cli.config.schema import MethodConfig, OmegaScheduleConfig


def constant(t: float, omega: OmegaScheduleConfig, iterations: int) -> float:
    return omega.max


def linear_decay(t: float, omega: OmegaScheduleConfig, iterations: int) -> float:
    return _fall(t / iterations, omega)


def warmup_retention(t: float, omega: OmegaScheduleConfig, iterations: int) -> float:
    warmup = omega.warmup_fraction * iterations  # T_w; need not be an integer
    return _rise(t, warmup, omega) if t < warmup else omega.max


def warmup_decay(t: float, omega: OmegaScheduleConfig, iterations: int) -> float:
    warmup = omega.warmup_fraction * iterations
    if t < warmup:
        return _rise(t, warmup, omega)
    return _fall((t - warmup) / (iterations - warmup), omega) if warmup < iterations else omega.max


SCHEDULES: dict[str, Callable[[float, OmegaScheduleConfig, int], float]] = {
    "constant": constant,
    "linear_decay": linear_decay,
    "warmup_retention": warmup_retention,
    "warmup_decay": warmup_decay,
}


def omega_at(iteration: int, method: MethodConfig, iterations: int) -> float:
    """The bonus weight at an iteration in 0..iterations; 0 for a method without a bonus."""
    if method.bonus == "none":
        return 0.0
    return SCHEDULES[method.omega.schedule](iteration, method.omega, iterations)


def _fall(progress: float, omega: OmegaScheduleConfig) -> float:
    """Linear from max at progress 0 to min at progress 1."""
    return omega.max + (omega.min - omega.max) * progress


def _rise(t: float, warmup: float, omega: OmegaScheduleConfig) -> float:
    """Half a cosine from min at 0 to max at T_w."""
    return omega.min + (omega.max - omega.min) * (1 - math.cos(math.pi * t / warmup)) / 2
