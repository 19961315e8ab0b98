"""Which groups are trained on."""

from collections.abc import Callable

import torch
from torch import Tensor


def all_groups(final_reward: Tensor) -> Tensor:
    """[P, G] -> bool [P]"""
    return torch.ones(final_reward.shape[0], dtype=torch.bool)


def unequal_groups(final_reward: Tensor) -> Tensor:
    """Those whose final rewards are not all exactly equal: DAPO's dynamic sampling. [P, G] -> bool [P]

    A bonus that separates responses of equal reward keeps their group.
    """
    return (final_reward != final_reward[:, :1]).any(-1)


KEEP: dict[str, Callable[[Tensor], Tensor]] = {"all": all_groups, "unequal": unequal_groups}
