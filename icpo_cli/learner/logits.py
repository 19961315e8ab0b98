"""From hidden states to what is wanted of the vocabulary's distributions: never more logits than one chunk's.

A forward takes some tokens at a time, and keeps no logits. The backward makes them again, of all tokens and a block of
the vocabulary at a time, and turns them into their own gradient where they stand. Within a chunk or block a few rows
at a time are worked on in float32, on CPU few enough to stay in its cache.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
        logprob, entropy, self_certainty, log_sum = (
            hidden.new_zeros(len(target), dtype=torch.float32) for _ in range(4)
        )
        room = hidden.new_empty(min(chunk_tokens, len(target)), len(weight))
        for chunk in _slices(len(target), chunk_tokens):
            logits = torch.mm(hidden[chunk], weight.T, out=room[: chunk.stop - chunk.start])  # [C, V]
            for rows in _slices(len(logits), _at_once(logits)):
                place = slice(chunk.start + rows.start, chunk.start + rows.stop)
                tempered = _tempered(logits[rows], wanted)  # [R, V]
                logprobs = tempered.log_softmax(-1)
                logprob[place] = logprobs.gather(-1, target[place, None]).squeeze(-1)
                log_sum[place] = tempered.gather(-1, target[place, None]).squeeze(-1) - logprob[place]
                if wanted.self_certainty:  # -log V - mean over the vocabulary of log-probs
                    self_certainty[place] = -math.log(logprobs.shape[-1]) - logprobs.mean(-1)
                if wanted.entropy:
                    entropy[place] = -(logprobs.exp() * logprobs).sum(-1)
        ctx.save_for_backward(hidden, weight, target, log_sum)
        ctx.wanted, ctx.at_once = wanted, room.numel()
        ctx.mark_non_differentiable(entropy, self_certainty)
        return logprob, entropy, self_certainty

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Of all tokens, a block of the vocabulary at a time: its rows of the weight have their gradient at once."""
        hidden, weight, target, log_sum = ctx.saved_tensors
        by_hidden = torch.zeros_like(hidden, dtype=torch.float32)  # in which the blocks' parts add up
        by_weight = torch.empty_like(weight)
        block_size = max(1, ctx.at_once // len(target)) if len(target) else len(weight)
        room = hidden.new_empty(len(target) * min(block_size, len(weight)))
        for block in _slices(len(weight), block_size):
            size = block.stop - block.start
            logits = torch.mm(hidden, weight[block].T, out=room[: len(target) * size].view(-1, size))  # [N, B]
            for rows in _slices(len(logits), _at_once(logits)):
                at = target[rows] - block.start
                by_logit = _gradient_by_logit(logits[rows], at, log_sum[rows], gradient[rows], ctx.wanted)
                logits[rows] = by_logit
            torch.mm(logits.T, hidden, out=by_weight[block])
            by_hidden += logits @ weight[block]
        return by_hidden.to(hidden.dtype), by_weight, None, None, None


def _gradient_by_logit(logits: Tensor, at: Tensor, log_sum: Tensor, gradient: Tensor, wanted: Wanted) -> Tensor:
    """d log p(target) / d logit = (1 at the target - p) / temperature, times `gradient`; float32.

    Of a block of the vocabulary, [R, B]; `at` is where in it the target stands, if it does; the rest [R].
    """
    tempered = _tempered(logits, wanted)
    by_logit = (tempered - log_sum[:, None]).exp_().neg_()
    inside = (at >= 0) & (at < logits.shape[1])
    by_logit.scatter_add_(-1, at.clamp(0, logits.shape[1] - 1)[:, None], inside[:, None].float())
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
