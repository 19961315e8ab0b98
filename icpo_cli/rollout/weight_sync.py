"""Check after every weight sync that sampler and learner have the same weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.errors import RunFailed

STALE_CHANGE = 1e-3
"""Nats. Where the learner's log-probs changed by more than this on average, the sampler's must have changed too."""


@dataclass(frozen=True)
class WeightProbe:
    """Log-probs of one fixed token sequence from both engines, after the same weight sync."""

    sampler: tuple[float, ...]
    learner: tuple[float, ...]

    @property
    def gap(self) -> float:
        """Mean absolute difference, in nats."""
        return _mean_gap(self.sampler, self.learner)


def check_weight_sync(probe: WeightProbe, before: WeightProbe | None, bound: float) -> None:
    """Raise RunFailed if the two engines cannot have the same weights.

    A gap above `bound` shows wrong weights. A sampler that gives exactly the log-probs of the probe `before` shows
    weights that never arrived: a small optimizer step would hide in the rounding of the dtype.
    """
    if not probe.gap <= bound:
        raise RunFailed(
            f"sampler and learner disagree: their log-probs of the probe differ by {probe.gap:.4f} nats on average, "
            f"above rollout.max_probe_gap {bound}. Likely causes: the new weights did not reach the sampler, or "
            "model.dtype differs between the two"
        )
    if before and probe.sampler == before.sampler and _mean_gap(probe.learner, before.learner) > STALE_CHANGE:
        raise RunFailed(
            "the sampler has stale weights: the learner's log-probs of the probe changed by "
            f"{_mean_gap(probe.learner, before.learner):.4f} nats in the last updates, but the sampler's did not change"
        )


def _mean_gap(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)
