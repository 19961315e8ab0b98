"""The clipped objective with its KL term (Eq. 4), over the padded responses of a micro-batch.

Every function keeps the token axis: a loss is the weighted sum of its tokens, and the weights
(`token_weight`) carry the normalisation. Weights use the counts of the whole mini-batch over all
ranks, so micro-batches and ranks add up to one and the same loss however they are cut.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Totals(NamedTuple):
    """Counts of a whole mini-batch, over all ranks."""

    responses: int
    tokens: int


class LossOutput(NamedTuple):
    """The loss of a micro-batch and what it is made of: scalars that add up over micro-batches and ranks."""

    loss: Tensor  # [] what is differentiated: policy_loss + kl_coef * kl
    policy_loss: Tensor  # []
    kl: Tensor  # [] k3, nats per token under the same weights
    clipped: Tensor  # [] share of the weight on tokens whose ratio was clipped
    log_ratio: Tensor  # [] its absolute value, nats per token under the same weights


class TokenRows(NamedTuple):
    """R responses of a micro-batch, padded to T tokens."""

    logprob: Tensor  # [R, T] under the weights that are trained, with gradient
    old_logprob: Tensor  # [R, T] under those of the rollout
    ref_logprob: Tensor | None  # [R, T] the reference's; None where there is none
    advantage: Tensor  # [R, T] what each token is weighed by
    mask: Tensor  # [R, T] 1 on response tokens


Loss = Callable[[TokenRows, Totals], LossOutput]


def token_weight(mask: Tensor, mean: str, totals: Totals, constant_length: int) -> Tensor:
    """What each token counts in the loss. [R, T] -> [R, T]

    "response": 1 / (its response's length * responses), Eq. 4. "token": 1 / tokens, DAPO.
    "constant": 1 / (constant_length * responses), Dr.GRPO.
    """
    if mean == "response":
        return mask / (mask.sum(-1, keepdim=True).clamp(min=1) * totals.responses)
    if mean == "token":
        return mask / totals.tokens
    return mask / (constant_length * totals.responses)


def k3_kl(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """Unbiased, never negative estimate of KL(policy || reference) per token. [R, T] -> [R, T]"""
    log_ratio = ref_logprob - logprob
    return log_ratio.exp() - log_ratio - 1


def clipped_loss(
    logprob: Tensor,  # [R, T] current policy, with gradient
    old_logprob: Tensor,  # [R, T] policy of the rollout
    ref_logprob: Tensor | None,  # [R, T] reference; None where kl_coef is 0
    advantage: Tensor,  # [R, T] of each token; equal over a response where the method has one for it
    weight: Tensor,  # [R, T] from token_weight; 0 on padding
    clip_low: float,
    clip_high: float,
    kl_coef: float,
    ratio_cap: float | None = None,
) -> LossOutput:
    """Minus Eq. 4: -(min(r A, clip(r, 1 - low, 1 + high) A)) + kl_coef * k3, summed under `weight`.

    `ratio_cap`: the most that r weighs, whatever the advantage's sign; its gradient stays that of log r.
    """
    log_ratio = logprob - old_logprob  # [R, T]
    ratio = log_ratio.exp()  # [R, T]
    if ratio_cap is not None:
        ratio = ratio * (ratio_cap / ratio.detach()).clamp(max=1)
    unclipped = ratio * advantage  # [R, T]
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantage  # [R, T]
    policy_loss = -(torch.minimum(unclipped, clipped) * weight).sum()
    kl = (k3_kl(logprob, ref_logprob) * weight).sum() if ref_logprob is not None else torch.zeros_like(policy_loss)
    was_clipped = ((clipped < unclipped) * weight).sum()
    moved = (log_ratio.detach().abs() * weight).sum()
    return LossOutput(policy_loss + kl_coef * kl, policy_loss.detach(), kl.detach(), was_clipped, moved)
