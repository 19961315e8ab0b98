"""Attention of a packed row on CPU where keys are few: weights are kept, which PyTorch's own makes anew.

A query's weights are then small beside what else is kept of its token. Nothing is copied for those that share it: the
queries that see a segment stand one behind the other in one product with its keys, whatever heads and responses they
are of. One head of keys is done at a time, so that its scores stay in the processor's cache.

In every shape K is the heads of keys, S the segments of a level, A those of a level above, Q the queries in a segment
(of W tokens, by as many heads as share a key), M the keys seen, D a head's size.
"""

from collections.abc import Sequence
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
        attended, kept = torch.empty_like(query), []
        for depth, level in enumerate(layout.levels):
            seen = layout.levels[: depth + 1]
            hidden = layout.hidden(depth, query.shape[1] // heads, window)
            queries = by_head(query, level, heads).float().mul_(scaling)  # [K, S, Q, D]
            keys = [by_head(key, each, heads).float() for each in seen]
            values = [by_head(value, each, heads) for each in seen]
            outputs = []
            for head, q in enumerate(queries):
                scores = [times(q, k[head].mT) for k in keys]
                for block, mask in zip(scores, hidden, strict=True):
                    if mask is not None:
                        block.masked_fill_(mask, -torch.inf)
                weights = torch.cat(scores, -1).softmax(-1).to(value.dtype)  # [S, Q, M]
                blocks = zip(parts(weights, seen), values, strict=True)
                outputs.append(total([times(block, v[head]) for block, v in blocks]))
                kept.append(weights)
            attended[level.start : level.end] = by_token(torch.stack(outputs), level)
        ctx.save_for_backward(query, key, value, attended, *kept)
        ctx.layout, ctx.scaling = layout, scaling
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, attended, *kept = ctx.saved_tensors
        heads, weights_of = key.shape[1], iter(kept)
        by_query, by_key, by_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for depth, level in enumerate(ctx.layout.levels):
            seen = ctx.layout.levels[: depth + 1]
            queries, by_outputs, outputs = (by_head(each, level, heads) for each in (query, gradient, attended))
            keys = [by_head(key, each, heads) for each in seen]
            values = [by_head(value, each, heads) for each in seen]
            by_queries = []
            by_keys: list[list[Tensor]] = [[] for _ in seen]
            by_values: list[list[Tensor]] = [[] for _ in seen]
            for head in range(heads):
                weights, by_out = next(weights_of), by_outputs[head]
                by_score = torch.cat([times(by_out, v[head].mT) for v in values], -1)  # [S, Q, M]
                by_score.sub_((by_out * outputs[head]).sum(-1, keepdim=True)).mul_(weights).mul_(ctx.scaling)
                by_blocks = parts(by_score, seen)
                by_queries.append(total([times(block, k[head]) for block, k in zip(by_blocks, keys, strict=True)]))
                for place, block in enumerate(parts(weights, seen)):
                    segments = len(seen[place].real)
                    by_keys[place].append(across(by_blocks[place], queries[head], segments))
                    by_values[place].append(across(block, by_out, segments))
            by_query[level.start : level.end] = by_token(torch.stack(by_queries), level)
            for each, of_keys, of_values in zip(seen, by_keys, by_values, strict=True):
                by_key[each.start : each.end] += by_token(torch.stack(of_keys), each)
                by_value[each.start : each.end] += by_token(torch.stack(of_values), each)
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
    """[S, Q, x] by a matrix for each of the segments that S / A of them stand under, [A, x, y] -> [S, Q, y]"""
    segments = len(block)
    under = len(rows) // segments
    # Where matrices are fewer, each has a part of its rows, and is there once more for another part.
    copies = next(n for n in range(1, under + 1) if under % n == 0 and (segments * n >= SIDE_BY_SIDE or n == under))
    matrices = block[:, None].expand(-1, copies, -1, -1).flatten(0, 1)
    return torch.bmm(rows.reshape(len(matrices), -1, rows.shape[-1]), matrices).view(*rows.shape[:-1], -1)


def across(rows: Tensor, others: Tensor, segments: int) -> Tensor:
    """Sums over all queries that see a segment. [S, Q, W], [S, Q, D] -> [A, W, D] of so many segments"""
    rows, others = (each.reshape(segments, -1, each.shape[-1]) for each in (rows, others))
    return torch.bmm(rows.mT, others)


def parts(weights: Tensor, levels: Sequence[Level]) -> tuple[Tensor, ...]:
    """By the level that the keys are of. [S, Q, M] -> [S, Q, W] each"""
    return torch.split(weights, [level.real.shape[1] for level in levels], -1)


def total(tensors: list[Tensor]) -> Tensor:
    first, *others = tensors
    for other in others:
        first += other
    return first
