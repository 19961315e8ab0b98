"""The clipped objective with its KL term (Eq. 4), over the padded responses of a micro-batch.

A loss is a weighted sum over tokens; the weights (`token_weight`) normalize it. They use the counts of the complete
mini-batch over all ranks, so the sum over micro-batches and ranks does not depend on how the mini-batch is split.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from icpo_cli.config.schema import Config


class Totals(NamedTuple):
    """Counts of a complete mini-batch, over all ranks."""

    responses: int
    tokens: int


class LossOutput(NamedTuple):
    """Loss and statistics of a micro-batch: scalars to be summed over micro-batches and ranks."""

    loss: Tensor  # [] policy_loss + kl_coef * kl, with gradient
    policy_loss: Tensor  # []
    kl: Tensor  # [] k3 estimate, token-weighted, nats
    clipped: Tensor  # [] token weight on tokens whose ratio was clipped
    log_ratio: Tensor  # [] absolute log-ratio, token-weighted, nats


class TokenRows(NamedTuple):
    """R responses of a micro-batch, padded to T tokens."""

    logprob: Tensor  # [R, T] under the current policy, with gradient
    old_logprob: Tensor  # [R, T] under the old policy
    ref_logprob: Tensor | None  # [R, T] under the reference model; None without one
    advantage: Tensor  # [R, T]
    mask: Tensor  # [R, T] 1 on response tokens


Loss = Callable[[TokenRows, Totals], LossOutput]


def token_weight(mask: Tensor, mean: str, totals: Totals, constant_length: int) -> Tensor:
    """The weight of each token in the loss. [R, T] -> [R, T]

    "response": 1 / (length of its response * responses), Eq. 4. "token": 1 / tokens, DAPO.
    "constant": 1 / (constant_length * responses), Dr.GRPO.
    """
    if mean == "response":
        return mask / (mask.sum(-1, keepdim=True).clamp(min=1) * totals.responses)
    if mean == "token":
        return mask / totals.tokens
    return mask / (constant_length * totals.responses)


def k3_kl(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """The k3 estimate of KL(policy || reference) per token: unbiased and nonnegative. [R, T] -> [R, T]"""
    log_ratio = ref_logprob - logprob
    return log_ratio.exp() - log_ratio - 1


def clipped_loss(
    logprob: Tensor,  # [R, T] current policy, with gradient
    old_logprob: Tensor,  # [R, T] old policy
    ref_logprob: Tensor | None,  # [R, T] reference model; None if kl_coef is 0
    advantage: Tensor,  # [R, T]
    weight: Tensor,  # [R, T] from token_weight; 0 on padding
    clip_low: float,
    clip_high: float,
    kl_coef: float,
    ratio_cap: float | None = None,
) -> LossOutput:
    """The negative of Eq. 4: -(min(r A, clip(r, 1 - low, 1 + high) A)) + kl_coef * k3, summed with `weight`.

    `ratio_cap`: upper bound of the ratio r as a weight, for either sign of the advantage; the gradient of log r stays.
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


def truncated_importance(logprob: Tensor, sampler_logprob: Tensor, cap: float) -> Tensor:
    """Truncated importance weights for the sampler/learner mismatch (TIS): min(pi_learner / pi_sampler, cap).

    Both log-probs are of the old policy. [..., T], [..., T] nats -> [..., T]
    """
    return (logprob - sampler_logprob).exp().clamp(max=cap)


def policy_loss(config: Config) -> Loss:
    """The loss of Eq. 4 with the configured settings."""
    learner, mean, length = config.learner, config.method.loss_mean, config.rollout.max_response_tokens

    def loss(rows: TokenRows, totals: Totals) -> LossOutput:
        return clipped_loss(
            logprob=rows.logprob,
            old_logprob=rows.old_logprob,
            ref_logprob=rows.ref_logprob,
            advantage=rows.advantage,
            weight=token_weight(rows.mask, mean, totals, length),
            clip_low=learner.clip_ratio,
            clip_high=learner.clip_ratio if learner.clip_ratio_high is None else learner.clip_ratio_high,
            kl_coef=learner.kl_coef,
            # With old log-probs from the learner, the cap applies to the advantages instead (truncated_importance).
            ratio_cap=learner.importance_cap if learner.old_logprobs == "sampler" else None,
        )

    return loss
