"""Which groups are trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.config.schema import RolloutConfig


@dataclass(frozen=True)
class Candidates:
    """The groups of a round."""

    final_reward: Tensor  # [P, G]
    correct: Tensor  # bool [P, G]
    usual_std: float
    """Of final rewards in a group, in this run so far; 0 before anything is known."""


def all_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    return torch.ones(groups.final_reward.shape[0], dtype=torch.bool)


def unequal_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Those whose final rewards are not all exactly equal: DAPO's dynamic sampling.

    A bonus that separates responses of equal reward keeps their group.
    """
    return (groups.final_reward != groups.final_reward[:, :1]).any(-1)


def spread_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Those whose final rewards have at least `spread_share` of the usual std (ddof 1): RLPR's filter."""
    return groups.final_reward.std(-1) >= rollout.spread_share * groups.usual_std


def accuracy_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Those that are right neither too seldom nor too often: PRIME's filter, both bounds included."""
    accuracy = groups.correct.double().mean(-1)
    return (accuracy >= rollout.least_accuracy) & (accuracy <= rollout.most_accuracy)


KEEP: dict[str, Callable[[Candidates, RolloutConfig], Tensor]] = {
    "all": all_groups,
    "unequal": unequal_groups,
    "spread": spread_groups,
    "accuracy": accuracy_groups,
}
"""By rollout.keep: -> bool [P]"""
