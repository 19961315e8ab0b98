"""Where sampler and learner disagree: the weight of a token that one sampled and the other is to learn from."""

from torch import Tensor


def truncated_importance(logprob: Tensor, sampler_logprob: Tensor, cap: float) -> Tensor:
    """min(pi_learner / pi_sampler, cap), both of the old policy. [..., T], [..., T] nats -> [..., T]"""
    return (logprob - sampler_logprob).exp().clamp(max=cap)
