"""From hidden states to what is wanted of the vocabulary's distributions: never more logits than one chunk's.

A forward keeps no logits. The backward makes a chunk's again, turns them into their own gradient where they stand,
and lets that through the output head. Within a chunk a few rows at a time are worked on in float32, few enough to
stay in a processor's cache.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

CACHED_VALUES = 2**20
"""Logits in float32 at once."""

Head = Callable[[Tensor], Tensor]
"""From hidden states to logits. [N, H] -> [N, V]"""


@dataclass(frozen=True)
class Wanted:
    """Of which distribution, and what beside the log-probs."""

    temperature: float
    softcap: float | None = None
    entropy: bool = False
    self_certainty: bool = False


class TokenValues(NamedTuple):
    """[N] each, float32, nats; zeros where not wanted."""

    logprob: Tensor  # of the target, with gradient
    entropy: Tensor
    self_certainty: Tensor  # KL(uniform || policy)


def token_values(head: Head, hidden: Tensor, target: Tensor, wanted: Wanted, chunk_tokens: int) -> TokenValues:
    """[N, H], [N] -> TokenValues"""
    chunks = zip(torch.split(hidden, chunk_tokens), torch.split(target, chunk_tokens), strict=True)
    values = [_Chunk.apply(h, t, head, wanted) for h, t in chunks]  # type: ignore[no-untyped-call]
    return TokenValues(*(torch.cat(parts) for parts in zip(*values, strict=True)))


class _Chunk(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, target: Tensor, head: Head, wanted: Wanted) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(hidden, target)
        ctx.head, ctx.wanted = head, wanted
        logits = head(hidden)  # [C, V]
        logprob, entropy, self_certainty = (hidden.new_zeros(len(target), dtype=torch.float32) for _ in range(3))
        for rows in _in_cache(logits):
            logprobs = _tempered(logits[rows], wanted).log_softmax(-1)  # [R, V]
            logprob[rows] = logprobs.gather(-1, target[rows, None]).squeeze(-1)
            if wanted.self_certainty:  # -log V - mean over the vocabulary of log-probs
                self_certainty[rows] = -math.log(logprobs.shape[-1]) - logprobs.mean(-1)
            if wanted.entropy:
                entropy[rows] = -(logprobs.exp() * logprobs).sum(-1)
        ctx.mark_non_differentiable(entropy, self_certainty)
        return logprob, entropy, self_certainty

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        hidden, target = ctx.saved_tensors
        wanted: Wanted = ctx.wanted
        with torch.enable_grad():
            hidden = hidden.detach().requires_grad_()
            logits = ctx.head(hidden)  # [C, V]
        own = logits.detach()
        for rows in _in_cache(own):
            # d log p(target) / d logit = (1 at the target - p) / temperature
            tempered = _tempered(own[rows], wanted)  # [R, V]
            by_logit = tempered.softmax(-1).neg_()
            by_logit.scatter_add_(-1, target[rows, None], torch.ones_like(by_logit[:, :1]))
            by_logit *= gradient[rows, None] / wanted.temperature
            if wanted.softcap is not None:
                by_logit *= 1 - (tempered * wanted.temperature / wanted.softcap) ** 2
            own[rows] = by_logit.to(own.dtype)
        torch.autograd.backward(logits, own)
        return hidden.grad, None, None, None


def _in_cache(logits: Tensor) -> list[slice]:
    """The chunk's rows, a few at a time."""
    rows = max(1, CACHED_VALUES // logits.shape[1])
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def _tempered(logits: Tensor, wanted: Wanted) -> Tensor:
    """In float32, capped softly where the model says so, at the temperature. [R, V] -> [R, V]"""
    logits = logits.float()
    if wanted.softcap is not None:
        logits = torch.tanh(logits / wanted.softcap) * wanted.softcap
    return logits / wanted.temperature if wanted.temperature != 1 else logits
