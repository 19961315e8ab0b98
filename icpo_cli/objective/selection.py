"""Filters that decide which groups are trained on (`rollout.keep`), all with the same inputs.

final_reward [P, G]; correct bool [P, G]; running_std: the running mean of the std of final rewards within a group, 0
before the first iteration. Each returns bool [P].
"""

from collections.abc import Callable

import torch
from torch import Tensor

from icpo_cli.config.schema import RolloutConfig


def all_groups(final_reward: Tensor, correct: Tensor, running_std: float, rollout: RolloutConfig) -> Tensor:
    return torch.ones(final_reward.shape[0], dtype=torch.bool)


def unequal_groups(final_reward: Tensor, correct: Tensor, running_std: float, rollout: RolloutConfig) -> Tensor:
    """Groups whose final rewards are not all equal: DAPO's dynamic sampling.

    A bonus that separates responses of equal reward keeps their group.
    """
    return (final_reward != final_reward[:, :1]).any(-1)


def spread_groups(final_reward: Tensor, correct: Tensor, running_std: float, rollout: RolloutConfig) -> Tensor:
    """Groups whose std of final rewards (ddof 1) is at least `min_std_ratio` of the running std: RLPR's filter."""
    return final_reward.std(-1) >= rollout.min_std_ratio * running_std


def accuracy_groups(final_reward: Tensor, correct: Tensor, running_std: float, rollout: RolloutConfig) -> Tensor:
    """Groups with an accuracy between two bounds, both included: PRIME's filter."""
    accuracy = correct.double().mean(-1)
    return (accuracy >= rollout.least_accuracy) & (accuracy <= rollout.most_accuracy)


KEEP: dict[str, Callable[[Tensor, Tensor, float, RolloutConfig], Tensor]] = {
    "all": all_groups,
    "unequal": unequal_groups,
    "spread": spread_groups,
    "accuracy": accuracy_groups,
}
"""{rollout.keep: filter}"""
