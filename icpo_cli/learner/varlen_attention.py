"""Attention over a packed row on CUDA: one call of FlashAttention for all segments, without masks or padding.

Every segment is one sequence of the call: its queries are its own tokens, its keys those of its ancestors and its own.
FlashAttention aligns causality to the end of both, so each token sees its ancestors and its own segment up to itself.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from icpo_cli.learner.prefix_tree import Segments


def varlen_attention(
    queries: Tensor, keys: Tensor, values: Tensor, segments: Segments, window: int | None, scaling: float
) -> Tensor:
    """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]; bfloat16 or float16."""
    out: Tensor = varlen_attn(  # type: ignore[assignment]  # the log-sum-exp is not requested
        queries,
        _Gather.apply(keys, segments.key_index),  # type: ignore[no-untyped-call]
        _Gather.apply(values, segments.key_index),  # type: ignore[no-untyped-call]
        segments.cu_seq_q,
        segments.cu_seq_k,
        segments.max_q,
        segments.max_k,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=True,
    )
    return out


class _Gather(torch.autograd.Function):
    """index_select with repeated indices; its backward adds in float32, because a prompt's keys have many gradients."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.length = len(states)
        return states.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (index,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.length, *grad.shape[1:], dtype=torch.float32)
        return total.index_add_(0, index, grad.float()).to(grad.dtype), None
