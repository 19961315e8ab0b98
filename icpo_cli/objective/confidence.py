"""Confidence: the log of the policy's mean token probability on its own response (Eq. 7)."""

from torch import Tensor

LOG_PROB_CEILING = -1e-6
"""Eq. 9 divides by the confidence, so a confidence of 0 (probability 1) is clamped to this value."""


def mean_prob(logprob: Tensor, mask: Tensor) -> Tensor:
    """Log of the mean token probability, Eq. 7 then log. [..., T], [..., T] -> [...]

    `mask` is 1 on response tokens (the end token included) and 0 on padding. A response without
    tokens has a confidence of -inf, the lowest of its group.
    """
    probability = logprob.exp() * mask  # [..., T]
    return (probability.sum(-1) / mask.sum(-1).clamp(min=1)).log()  # [...]


def mean_logprob(logprob: Tensor, mask: Tensor) -> Tensor:
    """Mean token log-prob, an alternative to Eq. 7. [..., T], [..., T] -> [...]"""
    total = (logprob * mask).sum(-1)  # [...]
    return (total / mask.sum(-1).clamp(min=1)).masked_fill(mask.sum(-1) == 0, float("-inf"))


CONFIDENCE = {"mean_prob": mean_prob, "mean_logprob": mean_logprob}


def is_clamped(confidence: Tensor) -> Tensor:
    """True where Eq. 9 uses the clamped value. [...] -> bool [...]"""
    return confidence > LOG_PROB_CEILING
