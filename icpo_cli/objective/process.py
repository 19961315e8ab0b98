"""Token rewards from a process model that is trained on outcomes alone (PRIME, Eq. 3 to 6)."""

import torch
from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.objective.loss import Loss, LossOutput, TokenRows, Totals


def process_reward(logprob: Tensor, ref_logprob: Tensor, beta: float) -> Tensor:
    """beta * log(pi_phi / pi_ref) of each token. [..., T] each -> [..., T]"""
    return beta * (logprob - ref_logprob)


def process_advantage(reward: Tensor, mask: Tensor) -> Tensor:
    """Return of each token: its reward and those after it, each minus a leave-one-out baseline (PRIME, Eq. 5).

    The baseline is the mean, over the group's other responses, of their mean token reward. [P, G, T] x2 -> [P, G, T]
    """
    mean = (reward * mask).sum(-1) / mask.sum(-1).clamp(min=1)  # [P, G]
    size = mean.shape[-1]
    others = (mean.sum(-1, keepdim=True) - mean) / (size - 1)  # [P, G]
    centered = (reward - others[..., None]) * mask  # [P, G, T]
    return centered.flip(-1).cumsum(-1).flip(-1) * mask


def outcome_loss(
    logprob: Tensor, ref_logprob: Tensor, outcome: Tensor, mask: Tensor, beta: float, n: int
) -> LossOutput:
    """Cross-entropy of sigmoid(sum of the response's process rewards) and its outcome (PRIME, Eq. 6).

    Summed, then divided by `n`, the responses of the mini-batch over all ranks. [R, T], [R, T], [R], [R, T]
    """
    logit = (process_reward(logprob, ref_logprob, beta) * mask).sum(-1)  # [R]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, outcome, reduction="sum") / n
    nothing = torch.zeros_like(loss.detach())
    return LossOutput(loss, loss.detach(), nothing, nothing, nothing)


def process_loss(config: Config) -> Loss:
    """The loss of the process model; a token's "advantage" is the outcome of its response."""
    beta = config.reward.process.beta

    def loss(rows: TokenRows, totals: Totals) -> LossOutput:
        assert rows.ref_logprob is not None
        outcome = rows.advantage.amax(-1)  # [R]; 0 on padding
        return outcome_loss(rows.logprob, rows.ref_logprob, outcome, rows.mask, beta, totals.responses)

    return loss
