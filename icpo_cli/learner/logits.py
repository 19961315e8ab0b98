"""Token log-probs from hidden states without storing the logits of all tokens.

The forward computes logits for a chunk of tokens at a time and keeps none. The backward recomputes them for all tokens
and a block of the vocabulary at a time, and turns them into their gradient in place. Float32 arithmetic runs on a few
rows at a time; on CPU, on as many as stay in the cache.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

CACHED_VALUES = 2**20
"""Float32 logits processed at once on CPU."""
ALIGNMENT = 64
"""On CUDA, blocks of the vocabulary are multiples of it: for other widths cuBLAS has only slow kernels."""


@dataclass(frozen=True)
class LogitOptions:
    """How logits become a distribution, and which statistics to return besides log-probs."""

    temperature: float
    softcap: float | None = None
    entropy: bool = False
    self_certainty: bool = False


class TokenValues(NamedTuple):
    """[N] each, float32, nats; zeros if not requested."""

    logprob: Tensor  # of the target token, with gradient
    entropy: Tensor
    self_certainty: Tensor  # KL(uniform || policy)


def token_values(hidden: Tensor, weight: Tensor, target: Tensor, options: LogitOptions, chunk: int) -> TokenValues:
    """[N, H], LM head weight [V, H], target tokens [N] -> TokenValues; `chunk`: tokens per chunk."""
    values = _TokenValues.apply(hidden, weight, target, options, chunk)  # type: ignore[no-untyped-call]
    return TokenValues(*values)


class _TokenValues(torch.autograd.Function):
    """The LM head weight is a direct input, so it gets one gradient per backward, as ZeRO expects."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, options: LogitOptions, chunk_tokens: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        logprob, entropy, self_certainty, log_sum = (
            hidden.new_zeros(len(target), dtype=torch.float32) for _ in range(4)
        )
        buffer = hidden.new_empty(min(chunk_tokens, len(target)), len(weight))
        for chunk in _slices(len(target), chunk_tokens):
            logits = torch.mm(hidden[chunk], weight.T, out=buffer[: chunk.stop - chunk.start])  # [C, V]
            for rows in _slices(len(logits), _rows_at_once(logits)):
                tokens = slice(chunk.start + rows.start, chunk.start + rows.stop)
                scaled = _scaled(logits[rows], options)  # [R, V]
                logprobs = scaled.log_softmax(-1)
                logprob[tokens] = logprobs.gather(-1, target[tokens, None]).squeeze(-1)
                log_sum[tokens] = scaled.gather(-1, target[tokens, None]).squeeze(-1) - logprob[tokens]
                if options.self_certainty:  # -log V - mean over the vocabulary of log-probs
                    self_certainty[tokens] = -math.log(logprobs.shape[-1]) - logprobs.mean(-1)
                if options.entropy:
                    entropy[tokens] = -(logprobs.exp() * logprobs).sum(-1)
        ctx.save_for_backward(hidden, weight, target, log_sum)
        ctx.options, ctx.buffer_size = options, buffer.numel()
        ctx.mark_non_differentiable(entropy, self_certainty)
        return logprob, entropy, self_certainty

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """All tokens and a block of the vocabulary at a time: each block completes its rows of the weight gradient."""
        hidden, weight, target, log_sum = ctx.saved_tensors
        grad_hidden = torch.zeros_like(hidden, dtype=torch.float32)  # accumulates over blocks
        grad_weight = torch.empty_like(weight)
        block_size = max(1, ctx.buffer_size // len(target)) if len(target) else len(weight)
        if hidden.device.type == "cuda":
            block_size = -(-block_size // ALIGNMENT) * ALIGNMENT
        buffer = hidden.new_empty(len(target) * min(block_size, len(weight)))
        for block in _slices(len(weight), block_size):
            size = block.stop - block.start
            logits = torch.mm(hidden, weight[block].T, out=buffer[: len(target) * size].view(-1, size))  # [N, B]
            for rows in _slices(len(logits), _rows_at_once(logits)):
                index = target[rows] - block.start
                logits[rows] = _grad_logits(logits[rows], index, log_sum[rows], grad[rows], ctx.options)
            torch.mm(logits.T, hidden, out=grad_weight[block])
            grad_hidden += logits @ weight[block]
        return grad_hidden.to(hidden.dtype), grad_weight, None, None, None


def _grad_logits(logits: Tensor, index: Tensor, log_sum: Tensor, grad: Tensor, options: LogitOptions) -> Tensor:
    """d log p(target) / d logit = (1 at the target - p) / temperature, times `grad`; float32.

    `logits`: [R, B] of a block of the vocabulary; `index`: [R] the target's index in the block, which may lie outside
    of it; `log_sum`, `grad`: [R].
    """
    scaled = _scaled(logits, options)
    grad_logits = (scaled - log_sum[:, None]).exp_().neg_()
    inside = (index >= 0) & (index < logits.shape[1])
    grad_logits.scatter_add_(-1, index.clamp(0, logits.shape[1] - 1)[:, None], inside[:, None].float())
    grad_logits *= grad[:, None] / options.temperature
    if options.softcap is not None:
        grad_logits *= 1 - (scaled * options.temperature / options.softcap) ** 2
    return grad_logits


def _rows_at_once(logits: Tensor) -> int:
    """Rows processed together: on CPU as many as stay in the cache."""
    return CACHED_VALUES // logits.shape[1] if logits.device.type == "cpu" else len(logits)


def _slices(count: int, size: int) -> list[slice]:
    """range(count) in slices of at most `size`, and at least 1."""
    step = max(1, size)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _scaled(logits: Tensor, options: LogitOptions) -> Tensor:
    """Logits in float32, soft-capped if the model is, divided by the temperature. [R, V] -> [R, V]"""
    logits = logits.float()
    if options.softcap is not None:
        logits = torch.tanh(logits / options.softcap) * options.softcap
    return logits / options.temperature if options.temperature != 1 else logits
