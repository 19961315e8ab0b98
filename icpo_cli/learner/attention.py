"""Attention of a packed row: each level's segments to themselves and to what they stand under.

The segments of a level go through attention side by side, padded to the longest. On CPU few keys have a form of their
own; else the keys of the segments above stand before a segment's own, a prompt's copied to each of its responses layer
by layer, and PyTorch's attention does the rest, or with soft-capping plain products.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from icpo_cli.learner.cpu.short_attention import FewKeysAttention
from icpo_cli.learner.layout import Layout
from icpo_cli.learner.pack import Level, handed_down

NAME = "levels"
FEW_KEYS = 512
Form = Callable[[Tensor, Tensor, Tensor], Tensor]
"""[S, K, Q, D], [S, K, M, D], [S, K, M, D] -> [S, K, Q, D]"""


def levels_attention(
    module: nn.Module,
    query: Tensor,  # [1, H, L, D]
    key: Tensor,  # [1, K, L, D]  K divides H: neighbouring heads share one
    value: Tensor,  # [1, K, L, D]
    attention_mask: None,
    layout: Layout,
    scaling: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,  # what other forms of attention are told
) -> tuple[Tensor, None]:
    """In the form that transformers calls. -> [1, L, H, D]"""
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))  # [L, heads, D]
    if query.device.type == "cpu" and softcap is None and layout.most_keys <= FEW_KEYS:
        few = FewKeysAttention.apply
        attended: Tensor = few(queries, keys, values, layout, sliding_window, scaling)  # type: ignore[no-untyped-call]
    else:
        attended = _by_level(queries, keys, values, layout, sliding_window, scaling, softcap)
    return attended[None], None


def _by_level(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    layout: Layout,
    window: int | None,
    scaling: float,
    softcap: float | None,
) -> Tensor:
    """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]"""
    each = queries.shape[1] // keys.shape[1]
    outputs = []
    k: Tensor | None = None  # [S, M, K, D] keys of the level's segments, those above first
    for level in layout.levels:
        if k is None:
            k, v = _padded(keys, level), _padded(values, level)
        else:
            k = torch.cat([handed_down(k, len(level.real)), _padded(keys, level)], 1)
            v = torch.cat([handed_down(v, len(level.real)), _padded(values, level)], 1)
        if softcap is None:
            form: Form = partial(_long, added=layout.added(level, each, window, queries.dtype), scaling=scaling)
        else:
            seen = layout.seen(level, each, window)
            form = partial(_softcapped, seen=seen, scaling=scaling, softcap=softcap)
        attended = _attend(_padded(queries, level), k, v, form)
        outputs.append(_Unpadded.apply(attended.flatten(0, 1), level.slot))  # type: ignore[no-untyped-call]
    return torch.cat(outputs)


def _attend(query: Tensor, key: Tensor, value: Tensor, form: Form) -> Tensor:
    """[S, W, H, D], [S, M, K, D], [S, M, K, D] -> [S, W, H, D]

    The heads that share a key stand one behind the other in its sequence: keys need not be repeated for them.
    """
    (count, width, heads, size), shared = query.shape, key.shape[2]
    each = heads // shared
    stacked = query.view(count, width, shared, each, size).permute(0, 2, 3, 1, 4)  # [S, K, H/K, W, D]
    stacked = stacked.reshape(count, shared, each * width, size)
    attended = form(stacked, key.transpose(1, 2), value.transpose(1, 2))
    return attended.view(count, shared, each, width, size).permute(0, 3, 1, 2, 4).reshape(count, width, heads, size)


def _softcapped(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, scaling: float, softcap: float) -> Tensor:
    scores = torch.tanh(q @ k.transpose(2, 3) * scaling / softcap) * softcap
    weights = scores.masked_fill(~seen[:, None], torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
    return weights.to(v.dtype) @ v


def _long(q: Tensor, k: Tensor, v: Tensor, added: Tensor, scaling: float) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=added[:, None], scale=scaling)


def _padded(states: Tensor, level: Level) -> Tensor:
    """A level's part of the row, a segment a row, 0 on padding. [L, ...] -> [S, W, ...]"""
    count, width = level.real.shape
    room = states.new_zeros(count * width, *states.shape[1:])
    return room.index_copy(0, level.slot, states[level.start : level.end]).view(count, width, *states.shape[1:])


class _Unpadded(torch.autograd.Function):
    """Rows by number, each once: the backward copies where PyTorch's own would add, one row at a time on CPU."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, slot: Tensor) -> Tensor:
        ctx.save_for_backward(slot)
        ctx.room = padded.shape
        return padded.index_select(0, slot)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (slot,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.room).index_copy_(0, slot, gradient), None


AttentionInterface.register(NAME, levels_attention)
AttentionMaskInterface.register(NAME, lambda *_, **__: None)  # its masks are its own
