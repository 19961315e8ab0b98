"""Attention of a packed row: each level's segments to themselves and to what they stand under.

The segments of a level go through attention side by side, padded to the longest, with the keys of the segments above
them before their own. Keys of a prompt are there once and shared by its responses; a key is seen where it is real and
stands no later than the query, for along one text positions only grow.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from icpo_cli.learner.pack import Level

NAME = "levels"
FEW_KEYS = 512


def levels_attention(
    module: nn.Module,
    query: Tensor,  # [1, H, L, D]
    key: Tensor,  # [1, K, L, D]  K divides H: neighbouring heads share one
    value: Tensor,  # [1, K, L, D]
    attention_mask: None,
    levels: Sequence[Level],
    scaling: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,  # what other forms of attention are told
) -> tuple[Tensor, None]:
    """In the form that transformers calls. -> [1, L, H, D]"""
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))  # [L, heads, D]
    outputs = []
    k: Tensor | None = None  # [S, M, K, D] keys of the level's segments, those above first
    for level in levels:
        count = len(level.real)
        if k is None:
            k, v = _padded(keys, level), _padded(values, level)
            position, real = level.position, level.real  # [S, M]
        else:
            k = torch.cat([_handed_down(k, count), _padded(keys, level)], 1)
            v = torch.cat([_handed_down(v, count), _padded(values, level)], 1)
            position = torch.cat([_handed_down(position, count), level.position], 1)
            real = torch.cat([_handed_down(real, count), level.real], 1)
        distance = level.position[:, :, None] - position[:, None, :]  # [S, W, M]
        seen = real[:, None, :] & (distance >= 0)
        if sliding_window is not None:
            seen &= distance < sliding_window
        # A padded query must see something; nobody reads what comes of it.
        seen |= ~level.real[:, :, None]
        attended = _attend(_padded(queries, level), k, v, seen, scaling, softcap)  # [S, W, H, D]
        outputs.append(_Unpadded.apply(attended.flatten(0, 1), level.slot))  # type: ignore[no-untyped-call]
    return torch.cat(outputs)[None], None


def _attend(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """[S, W, H, D], [S, M, K, D], [S, M, K, D], bool [S, W, M] -> [S, W, H, D]

    The heads that share a key stand one behind the other in its sequence: keys need not be repeated.
    """
    (count, width, heads, size), shared = query.shape, key.shape[2]
    each = heads // shared
    stacked = query.view(count, width, shared, each, size).permute(0, 2, 3, 1, 4)  # [S, K, H/K, W, D]
    stacked = stacked.reshape(count, shared, each * width, size)
    mask = seen[:, None].repeat(1, 1, each, 1)  # [S, 1, H/K * W, M]
    k, v = key.transpose(1, 2), value.transpose(1, 2)  # [S, K, M, D]
    if softcap is not None:
        scores = torch.tanh(stacked @ k.transpose(2, 3) * scaling / softcap) * softcap
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
        attended = weights.to(v.dtype) @ v
    elif query.device.type == "cpu" and key.shape[1] <= FEW_KEYS:
        attended = _FewKeys.apply(stacked, k, v, mask, scaling)  # type: ignore[no-untyped-call]
    else:
        attended = scaled_dot_product_attention(stacked, k, v, attn_mask=mask, scale=scaling)
    return attended.view(count, shared, each, width, size).permute(0, 3, 1, 2, 4).reshape(count, width, heads, size)


def _padded(states: Tensor, level: Level) -> Tensor:
    """A level's part of the row, a segment a row, 0 on padding. [L, ...] -> [S, W, ...]"""
    count, width = level.real.shape
    room = states.new_zeros(count * width, *states.shape[1:])
    return room.index_copy(0, level.slot, states[level.start : level.end]).view(count, width, *states.shape[1:])


def _handed_down(states: Tensor, count: int) -> Tensor:
    """From a level's segments to the `count` of the next that stand under them. [S, M, ...] -> [count, M, ...]"""
    each = count // len(states)
    return states[:, None].expand(-1, each, *states.shape[1:]).flatten(0, 1)


class _FewKeys(torch.autograd.Function):
    """scaled_dot_product_attention where keys are few: its weights are kept, which PyTorch makes anew on CPU.

    A query's weights are then small beside what else is kept of its token. Scores are float32, as PyTorch's.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scaling: float) -> Tensor:
        """[S, K, Q, D], [S, K, M, D], [S, K, M, D], bool [S, 1, Q, M] -> [S, K, Q, D]"""
        scores = (query.float() * scaling) @ key.float().transpose(2, 3)  # [S, K, Q, M]
        weights = scores.masked_fill_(~seen, -torch.inf).softmax(-1).to(value.dtype)
        attended = weights @ value
        ctx.save_for_backward(query, key, value, weights, attended)
        ctx.scaling = scaling
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # type: ignore[override]
        query, key, value, weights, attended = ctx.saved_tensors
        by_value = weights.transpose(2, 3) @ gradient
        by_score = gradient @ value.transpose(2, 3)  # [S, K, Q, M]
        by_score.sub_((gradient * attended).sum(-1, keepdim=True)).mul_(weights).mul_(ctx.scaling)
        return by_score @ key, by_score.transpose(2, 3) @ query, by_value, None, None


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
