"""INTUITOR: a response is worth how sure the policy was of its every token, whatever the answer."""

import torch

from icpo_cli.rewards.source import Credit, Sampled


def from_self_certainty(sampled: Sampled) -> Credit:
    """The mean over a response's tokens of KL(uniform || policy), nats; 0 for a response without tokens."""
    assert sampled.scores is not None and sampled.scores.self_certainty is not None
    per_token, mask = sampled.scores.self_certainty, sampled.scores.mask  # [P, G, T]
    mean = (per_token.double() * mask).sum(-1) / mask.sum(-1).clamp(min=1)  # [P, G]
    values: list[list[float]] = torch.Tensor.tolist(mean)
    return Credit(answer=values, decided=[True] * len(values), columns={"self_certainty": values})
