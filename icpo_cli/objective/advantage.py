"""The advantage of each response: over its group (Eq. 5), over the others of its group, or over the whole batch."""

import torch
from torch import Tensor


def group_advantage(reward: Tensor, std: str = "population", eps: float = 0.0) -> Tensor:
    """(R - mean) / (std + eps) over the group. [..., G] -> [..., G]

    `std`: "population" (ddof 0, the paper's worked examples), "sample" (ddof 1, as peers do) or
    "none" (centred only, Dr.GRPO). A group whose rewards are all exactly equal gets exactly 0:
    equality decides, not a small std, which rounding can make of equal rewards.
    """
    uniform = (reward == reward[..., :1]).all(-1, keepdim=True)  # [..., 1]
    centred = reward - reward.mean(-1, keepdim=True)  # [..., G]
    if std == "none":
        return centred.masked_fill(uniform, 0.0)
    spread = reward.std(-1, correction=1 if std == "sample" else 0, keepdim=True)  # [..., 1]
    return (centred / (spread + eps).masked_fill(uniform, 1.0)).masked_fill(uniform, 0.0)


def leave_one_out_advantage(reward: Tensor) -> Tensor:
    """R minus the mean of the group's other rewards (RLOO). [..., G] -> [..., G]; exactly 0 where all are equal."""
    size = reward.shape[-1]
    return group_advantage(reward, "none") * (size / (size - 1))


def batch_advantage(reward: Tensor, batch: Tensor, std: str = "none", eps: float = 0.0) -> Tensor:
    """(R - mean) / (std + eps) of the whole batch: REINFORCE with its mean reward as baseline. [...], [N] -> [...]

    `batch`: the rewards of all groups and ranks that count. `std` as in `group_advantage`. Exactly 0 where all of
    the batch are equal.
    """
    if (batch == batch[:1]).all():
        return reward * 0.0
    centred = reward - batch.mean()
    return centred if std == "none" else centred / (batch.std(correction=1 if std == "sample" else 0) + eps)


def token_advantage(advantage: Tensor, mask: Tensor) -> Tensor:
    """Every token of a response has its advantage. [P, G], [P, G, T] -> [P, G, T]"""
    return advantage[..., None] * mask


def likelihood_advantage(advantage: Tensor, mask: Tensor, reference: Tensor, probability: Tensor) -> Tensor:
    """Of reasoning its advantage, of the reference behind it its own probability: VeriFree's two terms, R grad log
    pi(reasoning) with a baseline and R grad log pi(reference). [P, G], [P, G, T] twice, [P, G] -> [P, G, T]"""
    return torch.where(reference > 0, probability[..., None], advantage[..., None]) * mask
