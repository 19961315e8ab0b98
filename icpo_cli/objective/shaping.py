"""The capped bonus that a score adds to the reward (Eq. 11)."""

import torch
from torch import Tensor


def capped_bonus(reward: Tensor, score: Tensor, omega: float, tau: float) -> Tensor:
    """omega * min(S, |R| / tau), each response capped by its own reward. [..., G] each -> [..., G]

    A reward of 0 gives no bonus. With omega 0 the bonus is exactly 0, so ICPO equals GRPO bit for bit.
    """
    return omega * torch.minimum(score, cap(reward, tau))


def cap(reward: Tensor, tau: float) -> Tensor:
    """The upper bound of the score in Eq. 11: |R| / tau. [..., G] -> [..., G]"""
    return reward.abs() / tau
