"""Which groups are trained on: by the final rewards of each, [P, G] -> bool [P]."""

from collections.abc import Callable

import torch
from torch import Tensor


def all_groups(final_reward: Tensor, least_std: float) -> Tensor:
    return torch.ones(final_reward.shape[0], dtype=torch.bool)


def unequal_groups(final_reward: Tensor, least_std: float) -> Tensor:
    """Those whose final rewards are not all exactly equal: DAPO's dynamic sampling.

    A bonus that separates responses of equal reward keeps their group.
    """
    return (final_reward != final_reward[:, :1]).any(-1)


def spread_groups(final_reward: Tensor, least_std: float) -> Tensor:
    """Those whose final rewards have a std (ddof 1) of `least_std` at least: RLPR's filter."""
    return final_reward.std(-1) >= least_std


KEEP: dict[str, Callable[[Tensor, float], Tensor]] = {
    "all": all_groups,
    "unequal": unequal_groups,
    "spread": spread_groups,
}
