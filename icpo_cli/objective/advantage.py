"""Advantages with the group mean (Eq. 5), the leave-one-out mean or the batch mean as baseline."""

import torch
from torch import Tensor


def group_advantage(reward: Tensor, std: str = "population", eps: float = 0.0) -> Tensor:
    """(R - mean) / (std + eps) over the group. [..., G] -> [..., G]

    `std`: "population" (ddof 0, the paper's worked examples), "sample" (ddof 1, as peers do) or
    "none" (centered only, Dr.GRPO). A group whose rewards are all exactly equal gets exactly 0:
    the test is equality, because rounding can give equal rewards a small nonzero std.
    """
    uniform = (reward == reward[..., :1]).all(-1, keepdim=True)  # [..., 1]
    centered = reward - reward.mean(-1, keepdim=True)  # [..., G]
    if std == "none":
        return centered.masked_fill(uniform, 0.0)
    spread = reward.std(-1, correction=1 if std == "sample" else 0, keepdim=True)  # [..., 1]
    return (centered / (spread + eps).masked_fill(uniform, 1.0)).masked_fill(uniform, 0.0)


def leave_one_out_advantage(reward: Tensor) -> Tensor:
    """R minus the mean of the group's other rewards (RLOO). [..., G] -> [..., G]; exactly 0 if all are equal."""
    size = reward.shape[-1]
    return group_advantage(reward, "none") * (size / (size - 1))


def batch_advantage(reward: Tensor, batch: Tensor, std: str = "none", eps: float = 0.0) -> Tensor:
    """(R - mean) / (std + eps) over the batch: REINFORCE with the mean reward as baseline. [...], [N] -> [...]

    `batch`: the rewards of all decided groups of all ranks. `std` as in `group_advantage`. Exactly 0 if all rewards of
    the batch are equal.
    """
    if (batch == batch[:1]).all():
        return reward * 0.0
    centered = reward - batch.mean()
    return centered if std == "none" else centered / (batch.std(correction=1 if std == "sample" else 0) + eps)


def token_advantage(advantage: Tensor, mask: Tensor) -> Tensor:
    """Broadcast each response's advantage to its tokens. [P, G], mask [P, G, T] -> [P, G, T]"""
    return advantage[..., None] * mask


def likelihood_advantage(advantage: Tensor, mask: Tensor, reference: Tensor, probability: Tensor) -> Tensor:
    """Token weights of VeriFree's gradient: reasoning tokens get the advantage (R grad log pi(reasoning), with a
    baseline), reference tokens the reference's probability (R grad log pi(reference)).

    advantage [P, G], mask and reference [P, G, T], probability [P, G] -> [P, G, T]
    """
    return torch.where(reference > 0, probability[..., None], advantage[..., None]) * mask
