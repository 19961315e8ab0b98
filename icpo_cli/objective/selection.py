"""Filters that decide which groups are trained on (`rollout.keep`)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.config.schema import RolloutConfig


@dataclass(frozen=True)
class Candidates:
    """The groups of a round, as the filters see them."""

    final_reward: Tensor  # [P, G]
    correct: Tensor  # bool [P, G]
    running_std: float
    """Running mean of the std of final rewards within a group; 0 before the first iteration."""


def all_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    return torch.ones(groups.final_reward.shape[0], dtype=torch.bool)


def unequal_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Groups whose final rewards are not all equal: DAPO's dynamic sampling.

    A bonus that separates responses of equal reward keeps their group.
    """
    return (groups.final_reward != groups.final_reward[:, :1]).any(-1)


def spread_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Groups whose std of final rewards (ddof 1) is at least `min_std_ratio` of the running std: RLPR's filter."""
    return groups.final_reward.std(-1) >= rollout.min_std_ratio * groups.running_std


def accuracy_groups(groups: Candidates, rollout: RolloutConfig) -> Tensor:
    """Groups with an accuracy between two bounds, both included: PRIME's filter."""
    accuracy = groups.correct.double().mean(-1)
    return (accuracy >= rollout.least_accuracy) & (accuracy <= rollout.most_accuracy)


KEEP: dict[str, Callable[[Candidates, RolloutConfig], Tensor]] = {
    "all": all_groups,
    "unequal": unequal_groups,
    "spread": spread_groups,
    "accuracy": accuracy_groups,
}
"""{rollout.keep: filter}, each returning bool [P]."""
