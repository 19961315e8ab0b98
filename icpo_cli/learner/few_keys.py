"""Attention of a packed row on CPU where keys are few: weights are kept, which PyTorch's own makes anew.

A query's weights are then small beside what else is kept of its token. Nothing is copied for those that share it: the
queries that see a segment stand one behind the other in one product with its keys, whatever heads and responses they
are of. In every shape K is the heads of keys, S the segments of a level, Q the queries of one head of keys in a segment
(W tokens by as many heads as share it), M the keys seen, D a head's size.
"""

from typing import Any

import torch
from torch import Tensor

from icpo_cli.learner.layout import Layout
from icpo_cli.learner.pack import Level

SIDE_BY_SIDE = 16
"""Products at least, so that cores share them evenly."""


class FewKeysAttention(torch.autograd.Function):
    """scaled_dot_product_attention of all levels of a row. Scores are float32, as PyTorch's."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None, scaling: float
    ) -> Tensor:
        """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]"""
        heads = key.shape[1]
        attended = torch.empty_like(query)
        kept = []
        for depth, level in enumerate(layout.levels):
            seen_levels = layout.levels[: depth + 1]
            q = by_head(query, level, heads).float().mul_(scaling)
            scores = [times(q, by_head(key, each, heads).float().mT) for each in seen_levels]
            for block, hidden in zip(scores, layout.hidden(depth, query.shape[1] // heads, window), strict=True):
                if hidden is not None:
                    block.masked_fill_(hidden, -torch.inf)
            weights = torch.cat(scores, -1).softmax(-1).to(value.dtype)  # [K, S, Q, M]
            blocks = zip(parts(weights, seen_levels), seen_levels, strict=True)
            out = total([times(block, by_head(value, each, heads)) for block, each in blocks])
            attended[level.start : level.end] = by_token(out, level)
            kept.append(weights)
        ctx.save_for_backward(query, key, value, attended, *kept)
        ctx.layout, ctx.scaling = layout, scaling
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, attended, *kept = ctx.saved_tensors
        heads = key.shape[1]
        by_query, by_key, by_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for depth, (level, weights) in enumerate(zip(ctx.layout.levels, kept, strict=True)):
            seen_levels = ctx.layout.levels[: depth + 1]
            q, by_out = by_head(query, level, heads), by_head(gradient, level, heads)
            by_score = torch.cat([times(by_out, by_head(value, each, heads).mT) for each in seen_levels], -1)
            by_score.sub_((by_out * by_head(attended, level, heads)).sum(-1, keepdim=True))
            by_score.mul_(weights).mul_(ctx.scaling)  # [K, S, Q, M]
            by_q = []
            blocks = zip(seen_levels, parts(by_score, seen_levels), parts(weights, seen_levels), strict=True)
            for each, by_block, block in blocks:
                by_q.append(times(by_block, by_head(key, each, heads)))
                by_key[each.start : each.end] += by_token(across(by_block, q, each), each)
                by_value[each.start : each.end] += by_token(across(block, by_out, each), each)
            by_query[level.start : level.end] = by_token(total(by_q), level)
        return by_query, by_key, by_value, None, None, None


def by_head(states: Tensor, level: Level, heads: int) -> Tensor:
    """A level's part of the row, 0 on padding. [L, K * E, D] -> [K, S, E * W, D], a new tensor."""
    (count, width), (_, all_heads, size) = level.real.shape, states.shape
    room = states.new_zeros(count * width, all_heads, size)
    room.index_copy_(0, level.slot, states[level.start : level.end])
    room = room.view(count, width, heads, all_heads // heads, size).permute(2, 0, 3, 1, 4)
    return room.reshape(heads, count, -1, size)


def by_token(states: Tensor, level: Level) -> Tensor:
    """by_head's way back, without the padding. [K, S, E * W, D] -> [n, K * E, D]"""
    (count, width), (heads, _, _, size) = level.real.shape, states.shape
    rows = states.view(heads, count, -1, width, size).permute(1, 3, 0, 2, 4).reshape(count * width, -1, size)
    return rows.index_select(0, level.slot)


def times(rows: Tensor, block: Tensor) -> Tensor:
    """[K, S, Q, x] by a matrix for each segment that S / A of them stand under, [K, A, x, y] -> [K, S, Q, y]"""
    heads, segments = block.shape[:2]
    each = rows.shape[1] // segments
    # Few products run on few cores: the same matrix then has a part of those rows, and another part of them.
    cuts = next(
        cuts
        for cuts in range(1, each + 1)
        if each % cuts == 0 and (heads * segments * cuts >= SIDE_BY_SIDE or cuts == each)
    )
    matrices = block[:, :, None].expand(-1, -1, cuts, -1, -1).flatten(0, 2)
    return torch.bmm(rows.reshape(len(matrices), -1, rows.shape[-1]), matrices).view(*rows.shape[:-1], -1)


def across(rows: Tensor, others: Tensor, level: Level) -> Tensor:
    """Sums over all queries that see a segment of `level`. [K, S, Q, W], [K, S, Q, D] -> [K, A, W, D]"""
    segments = len(level.real)
    count = len(rows) * segments
    sums = torch.bmm(rows.reshape(count, -1, rows.shape[-1]).mT, others.reshape(count, -1, others.shape[-1]))
    return sums.view(len(rows), segments, *sums.shape[1:])


def parts(weights: Tensor, levels: tuple[Level, ...]) -> tuple[Tensor, ...]:
    """By the level that the keys are of. [K, S, Q, M] -> [K, S, Q, W] each"""
    return weights.split([level.real.shape[1] for level in levels], -1)


def total(tensors: list[Tensor]) -> Tensor:
    first, *others = tensors
    for other in others:
        first += other
    return first
