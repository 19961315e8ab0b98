"""Attention over a packed row: every segment attends to itself and to its ancestors.

Four implementations:

    CUDA, half precision             varlen_attention.py, FlashAttention without padding or masks
    CPU, at most SHORT_KEYS keys     short_attention.py
    soft-capped scores (Gemma2)      here, level by level: plain matrix products
    otherwise                        here, level by level: PyTorch's scaled_dot_product_attention with a mask

Level by level, the segments of a level are attended in one call, padded to the longest: the keys of the ancestors are
concatenated before a segment's own, a prompt's keys copied to each of its responses layer by layer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from icpo_cli.learner.pack import Level, broadcast_to_children
from icpo_cli.learner.prefix_tree import PrefixTree
from icpo_cli.learner.short_attention import ShortAttention
from icpo_cli.learner.varlen_attention import varlen_attention

NAME = "prefix_tree"
SHORT_KEYS = 512
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""[S, K, Q, D], [S, K, M, D], [S, K, M, D] -> [S, K, Q, D]"""


def prefix_tree_attention(
    module: nn.Module,
    query: Tensor,  # [1, H, L, D]
    key: Tensor,  # [1, K, L, D]  K divides H: neighbouring heads share one
    value: Tensor,  # [1, K, L, D]
    attention_mask: None,
    prefix_tree: PrefixTree,
    scaling: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,  # arguments of other attention implementations
) -> tuple[Tensor, None]:
    """Attention function with the signature that transformers calls. -> [1, L, H, D]"""
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))  # [L, heads, D]
    if uses_varlen(query, softcap):
        out = varlen_attention(queries, keys, values, prefix_tree.segments(), sliding_window, scaling)
    elif query.device.type == "cpu" and softcap is None and prefix_tree.max_keys <= SHORT_KEYS:
        short = ShortAttention.apply
        out = short(queries, keys, values, prefix_tree, sliding_window, scaling)  # type: ignore[no-untyped-call]
    else:
        out = _by_level(queries, keys, values, prefix_tree, sliding_window, scaling, softcap)
    return out[None], None


def uses_varlen(query: Tensor, softcap: float | None) -> bool:
    """FlashAttention has neither float32 nor, in PyTorch, soft-capped scores."""
    return query.device.type == "cuda" and query.dtype != torch.float32 and softcap is None


def _by_level(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    prefix_tree: PrefixTree,
    window: int | None,
    scaling: float,
    softcap: float | None,
) -> Tensor:
    """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]"""
    sharing = queries.shape[1] // keys.shape[1]
    outputs = []
    k: Tensor | None = None  # [S, M, K, D] keys that the level's segments see, ancestors' first
    for level in prefix_tree.levels:
        if k is None:
            k, v = _padded(keys, level), _padded(values, level)
        else:
            k = torch.cat([broadcast_to_children(k, len(level.real)), _padded(keys, level)], 1)
            v = torch.cat([broadcast_to_children(v, len(level.real)), _padded(values, level)], 1)
        if softcap is None:
            mask = prefix_tree.additive(level, sharing, window, queries.dtype)
            kernel: Kernel = partial(_sdpa, mask=mask, scaling=scaling)
        else:
            visible = prefix_tree.visible(level, sharing, window)
            kernel = partial(_softcapped, visible=visible, scaling=scaling, softcap=softcap)
        attended = _attend(_padded(queries, level), k, v, kernel)
        outputs.append(_Unpad.apply(attended.flatten(0, 1), level.slot))  # type: ignore[no-untyped-call]
    return torch.cat(outputs)


def _attend(query: Tensor, key: Tensor, value: Tensor, kernel: Kernel) -> Tensor:
    """[S, W, H, D], [S, M, K, D], [S, M, K, D] -> [S, W, H, D]

    The query heads that share a key head are concatenated along the sequence, so that keys are not repeated for them.
    """
    (count, width, heads, size), key_heads = query.shape, key.shape[2]
    sharing = heads // key_heads
    stacked = query.view(count, width, key_heads, sharing, size).permute(0, 2, 3, 1, 4)  # [S, K, H/K, W, D]
    stacked = stacked.reshape(count, key_heads, sharing * width, size)
    out = kernel(stacked, key.transpose(1, 2), value.transpose(1, 2))
    return out.view(count, key_heads, sharing, width, size).permute(0, 3, 1, 2, 4).reshape(count, width, heads, size)


def _softcapped(q: Tensor, k: Tensor, v: Tensor, visible: Tensor, scaling: float, softcap: float) -> Tensor:
    scores = torch.tanh(q @ k.transpose(2, 3) * scaling / softcap) * softcap
    weights = scores.masked_fill(~visible[:, None], torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
    return weights.to(v.dtype) @ v


def _sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None], scale=scaling)


def _padded(states: Tensor, level: Level) -> Tensor:
    """A level's part of the row, one segment per row, 0 on padding. [L, ...] -> [S, W, ...]"""
    count, width = level.real.shape
    buffer = states.new_zeros(count * width, *states.shape[1:])
    return buffer.index_copy(0, level.slot, states[level.start : level.end]).view(count, width, *states.shape[1:])


class _Unpad(torch.autograd.Function):
    """index_select whose indices are unique: its backward copies rows, where PyTorch's adds them one at a time."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, slot: Tensor) -> Tensor:
        ctx.save_for_backward(slot)
        ctx.padded_shape = padded.shape
        return padded.index_select(0, slot)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (slot,) = ctx.saved_tensors
        return grad.new_zeros(ctx.padded_shape).index_copy_(0, slot, grad), None


AttentionInterface.register(NAME, prefix_tree_attention)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)  # the prefix tree has the masks
