"""The weight of the bonus over training (Section 3.4, Figure 2).

Every schedule is a function of the iteration t in 0..T, T the number of iterations, and
T_w = warmup_fraction * T. Iterations are counted from 1, so the last one runs at t = T.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from icpo_cli.config.schema import MethodConfig


@dataclass(frozen=True)
class OmegaCurve:
    """The parameters of a schedule."""

    max: float
    min: float
    warmup_fraction: float
    iterations: int

    @property
    def warmup_iterations(self) -> float:
        """T_w; need not be an integer."""
        return self.warmup_fraction * self.iterations

    def fall(self, progress: float) -> float:
        """Linear from max at progress 0 to min at progress 1."""
        return self.max + (self.min - self.max) * progress

    def rise(self, t: float) -> float:
        """Half a cosine from min at 0 to max at T_w."""
        return self.min + (self.max - self.min) * (1 - math.cos(math.pi * t / self.warmup_iterations)) / 2


def constant(t: float, curve: OmegaCurve) -> float:
    return curve.max


def linear_decay(t: float, curve: OmegaCurve) -> float:
    return curve.fall(t / curve.iterations)


def warmup_retention(t: float, curve: OmegaCurve) -> float:
    return curve.rise(t) if t < curve.warmup_iterations else curve.max


def warmup_decay(t: float, curve: OmegaCurve) -> float:
    warmup = curve.warmup_iterations
    if t < warmup:
        return curve.rise(t)
    return curve.fall((t - warmup) / (curve.iterations - warmup)) if warmup < curve.iterations else curve.max


SCHEDULES: dict[str, Callable[[float, OmegaCurve], float]] = {
    "constant": constant,
    "linear_decay": linear_decay,
    "warmup_retention": warmup_retention,
    "warmup_decay": warmup_decay,
}


def omega_at(iteration: int, method: MethodConfig, iterations: int) -> float:
    """The bonus weight at an iteration in 0..iterations; 0 for a method without a bonus."""
    if method.bonus == "none":
        return 0.0
    curve = OmegaCurve(method.omega.max, method.omega.min, method.omega.warmup_fraction, iterations)
    return SCHEDULES[method.omega.schedule](iteration, curve)
