"""The preference score S of ICPO (Eq. 8 and 9), CDE's perplexity score, and the capped bonus of a score (Eq. 11)."""

import torch
from torch import Tensor

from icpo_cli.objective.confidence import LOG_PROB_CEILING


def preference_score(confidence: Tensor, delta: float) -> Tensor:
    """Eq. 9 for every response: [..., G] confidences (log, <= 0) -> [..., G] scores, in the input's order.

    S_k = delta * (sum of log pi(o_j) over all j ranked strictly after k) / log pi(o_k) - delta * log pi(o_(G))

    Equal confidences form no pair. O(G log G): the sum over "ranked after k" is a suffix sum of the
    sorted group, read at the first strictly greater confidence.
    """
    logp = confidence.clamp(max=LOG_PROB_CEILING)  # [..., G]
    ascending = logp.sort(dim=-1).values.contiguous()  # [..., G]
    suffix = ascending.flip(-1).cumsum(-1).flip(-1)  # [..., G]  suffix[i] = sum of ascending[i:]
    suffix = torch.nn.functional.pad(suffix, (0, 1))  # [..., G+1]  0 after the last
    first_after = torch.searchsorted(ascending, logp.contiguous(), right=True)  # [..., G]
    pairs = suffix.gather(-1, first_after) / logp  # [..., G]
    return delta * pairs - delta * ascending[..., -1:]


def perplexity_score(confidence: Tensor, alpha: float) -> Tensor:
    """alpha * B, where B is the mean negative log-prob of the response's tokens (CDE's actor bonus).

    [..., G] confidences, <= 0 -> [..., G]; they are -B if the confidence is `mean_logprob`.
    """
    return -alpha * confidence


def capped_bonus(reward: Tensor, score: Tensor, omega: float, tau: float) -> Tensor:
    """omega * min(S, |R| / tau), each response capped by its own reward. [..., G] each -> [..., G]

    A reward of 0 gives no bonus. With omega 0 the bonus is exactly 0, so ICPO equals GRPO bit for bit.
    """
    return omega * torch.minimum(score, cap(reward, tau))


def cap(reward: Tensor, tau: float) -> Tensor:
    """The upper bound of the score in Eq. 11: |R| / tau. [..., G] -> [..., G]"""
    return reward.abs() / tau
