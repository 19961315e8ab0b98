"""The perplexity bonus of CDE's actor: how little the policy expected its own response."""

from torch import Tensor


def perplexity_score(confidence: Tensor, alpha: float) -> Tensor:
    """alpha * B, B the mean negative log-prob of the response's tokens. [..., G] confidences, <= 0 -> [..., G]

    B is that where the confidence is `mean_logprob`.
    """
    return -alpha * confidence
