"""From hidden states to what is wanted of the vocabulary's distributions: never more logits than one chunk's.

A forward keeps no logits. The backward makes a chunk's again, and turns them into their own gradient where they stand.
Within a chunk a few rows at a time are worked on in float32, on CPU few enough to stay in its cache.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

CACHED_VALUES = 2**20
"""Logits in float32 at once, on CPU."""


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


def token_values(hidden: Tensor, weight: Tensor, target: Tensor, wanted: Wanted, chunk_tokens: int) -> TokenValues:
    """[N, H], [V, H], [N] -> TokenValues; `weight`: of the output head."""
    values = _TokenValues.apply(hidden, weight, target, wanted, chunk_tokens)  # type: ignore[no-untyped-call]
    return TokenValues(*values)


class _TokenValues(torch.autograd.Function):
    """The weight is an input of its own: it has one gradient a backward, which ZeRO counts on."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, wanted: Wanted, chunk_tokens: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(hidden, weight, target)
        ctx.wanted, ctx.chunk_tokens = wanted, chunk_tokens
        logprob, entropy, self_certainty = (hidden.new_zeros(len(target), dtype=torch.float32) for _ in range(3))
        for chunk in _slices(len(target), chunk_tokens):
            logits = linear(hidden[chunk], weight)  # [C, V]
            for rows in _slices(len(logits), _at_once(logits)):
                place = slice(chunk.start + rows.start, chunk.start + rows.stop)
                logprobs = _tempered(logits[rows], wanted).log_softmax(-1)  # [R, V]
                logprob[place] = logprobs.gather(-1, target[place, None]).squeeze(-1)
                if wanted.self_certainty:  # -log V - mean over the vocabulary of log-probs
                    self_certainty[place] = -math.log(logprobs.shape[-1]) - logprobs.mean(-1)
                if wanted.entropy:
                    entropy[place] = -(logprobs.exp() * logprobs).sum(-1)
        ctx.mark_non_differentiable(entropy, self_certainty)
        return logprob, entropy, self_certainty

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        hidden, weight, target = ctx.saved_tensors
        by_hidden = torch.empty_like(hidden)
        # Of many chunks' gradients the sum is float32's.
        by_weight = torch.zeros_like(weight, dtype=torch.float32)
        for chunk in _slices(len(target), ctx.chunk_tokens):
            logits = linear(hidden[chunk], weight)  # [C, V]
            for rows in _slices(len(logits), _at_once(logits)):
                place = slice(chunk.start + rows.start, chunk.start + rows.stop)
                by_logit = _gradient_by_logit(logits[rows], target[place], gradient[place], ctx.wanted)
                logits[rows] = by_logit.to(logits.dtype)
            torch.mm(logits, weight, out=by_hidden[chunk])
            by_weight += logits.T @ hidden[chunk]
        return by_hidden, by_weight.to(weight.dtype), None, None, None


def _gradient_by_logit(logits: Tensor, target: Tensor, gradient: Tensor, wanted: Wanted) -> Tensor:
    """d log p(target) / d logit = (1 at the target - p) / temperature, times `gradient`. [R, V], [R], [R] -> [R, V]"""
    tempered = _tempered(logits, wanted)
    by_logit = tempered.softmax(-1).neg_()
    by_logit.scatter_add_(-1, target[:, None], torch.ones_like(by_logit[:, :1]))
    by_logit *= gradient[:, None] / wanted.temperature
    if wanted.softcap is not None:
        by_logit *= 1 - (tempered * wanted.temperature / wanted.softcap) ** 2
    return by_logit


def _at_once(logits: Tensor) -> int:
    """Rows that are worked on together: on CPU as many as stay in its cache."""
    return CACHED_VALUES // logits.shape[1] if logits.device.type == "cpu" else len(logits)


def _slices(count: int, size: int) -> list[slice]:
    """0..count in pieces of at most `size`, at least 1."""
    step = max(1, size)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _tempered(logits: Tensor, wanted: Wanted) -> Tensor:
    """In float32, capped softly where the model says so, at the temperature. [R, V] -> [R, V]"""
    logits = logits.float()
    if wanted.softcap is not None:
        logits = torch.tanh(logits / wanted.softcap) * wanted.softcap
    return logits / wanted.temperature if wanted.temperature != 1 else logits
