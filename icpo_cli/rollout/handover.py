"""Proof, after every weight hand-over, that sampler and learner hold the same weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.errors import RunFailed

MOVED = 1e-3
"""Nats. The learner's log-probs moved this far on the mean: the sampler's cannot then be as they were."""


@dataclass(frozen=True)
class Probe:
    """Log-probs of one fixed row of tokens, as both sides give them after the same hand-over."""

    sampler: tuple[float, ...]
    learner: tuple[float, ...]

    @property
    def gap(self) -> float:
        """Mean absolute difference, in nats."""
        return _mean_gap(self.sampler, self.learner)


def check_handover(probe: Probe, before: Probe | None, bound: float) -> None:
    """Raise RunFailed where the two sides cannot hold the same weights.

    The gap shows wrong weights; equality with the probe `before` shows weights that never arrived, which
    a small step would hide inside the rounding of the dtype.
    """
    if not probe.gap <= bound:
        raise RunFailed(
            f"sampler and learner disagree: their log-probs of the probe differ by {probe.gap:.4f} nats on the mean, "
            f"above rollout.max_probe_gap {bound}. Likely causes: the new weights did not reach the sampler, or "
            "model.dtype differs between the two"
        )
    if before and probe.sampler == before.sampler and _mean_gap(probe.learner, before.learner) > MOVED:
        raise RunFailed(
            "the sampler holds stale weights: the learner's log-probs of the probe moved by "
            f"{_mean_gap(probe.learner, before.learner):.4f} nats in the last updates, the sampler's not at all"
        )


def _mean_gap(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(left)
