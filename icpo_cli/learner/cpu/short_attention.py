"""Attention of a packed row on CPU where keys are few: weights are kept, which PyTorch's own makes anew.

A query's weights are then small beside what else is kept of its token. Each segment has the keys of those above it
beside its own, copied for the moment; the queries of all heads that share a key stand one behind the other in one
product with them. One head of keys is done at a time, so that its scores stay in the processor's cache.

In every shape K is the heads of keys, S the segments of a level, Q the queries in a segment (of W tokens, by as many
heads as share a key), M the keys seen, D a head's size.
"""

from typing import Any

import torch
from torch import Tensor

from icpo_cli.learner.layout import Layout
from icpo_cli.learner.pack import Level


class FewKeysAttention(torch.autograd.Function):
    """scaled_dot_product_attention of all levels of a row. Scores are float32, as PyTorch's."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None, scaling: float
    ) -> Tensor:
        """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]"""
        heads = key.shape[1]
        attended, kept = torch.empty_like(query), []
        keys = values = None
        for depth, level in enumerate(layout.levels):
            queries = by_head(query, level, heads).float().mul_(scaling)  # [K, S, Q, D]
            keys, values = seen_of(key, level, keys), seen_of(value, level, values)  # [K, S, M, D]
            hidden = layout.hidden(depth, query.shape[1] // heads, window)
            widths = [each.real.shape[1] for each in layout.levels[: depth + 1]]
            outputs = []
            for head in range(heads):
                scores = torch.bmm(queries[head], keys[head].float().mT)  # [S, Q, M]
                for block, mask in zip(torch.split(scores, widths, -1), hidden, strict=True):
                    if mask is not None:
                        block.masked_fill_(mask, -torch.inf)
                weights = scores.softmax(-1).to(value.dtype)
                outputs.append(torch.bmm(weights, values[head]))
                kept.append(weights)
            attended[level.start : level.end] = by_token(torch.stack(outputs), level)
        ctx.save_for_backward(query, key, value, attended, *kept)
        ctx.layout, ctx.scaling = layout, scaling
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, attended, *kept = ctx.saved_tensors
        heads, levels = key.shape[1], ctx.layout.levels
        by_query, by_key, by_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        seen: list[tuple[Tensor, Tensor]] = []  # keys and values of each level's segments
        for level in levels:
            above = seen[-1] if seen else (None, None)
            seen.append((seen_of(key, level, above[0]), seen_of(value, level, above[1])))
        by_keys = by_values = None  # what the segments below add to those above
        for depth in reversed(range(len(levels))):
            level, (keys, values) = levels[depth], seen[depth]
            queries, by_outputs, outputs = (by_head(each, level, heads) for each in (query, gradient, attended))
            own_queries, own_keys, own_values = [], [], []
            for head in range(heads):
                weights, by_out = kept[depth * heads + head], by_outputs[head]
                by_score = torch.bmm(by_out, values[head].mT)  # [S, Q, M]
                by_score.sub_((by_out * outputs[head]).sum(-1, keepdim=True)).mul_(weights)
                own_queries.append(torch.bmm(by_score, keys[head]))
                own_keys.append(torch.bmm(by_score.mT, queries[head]))
                own_values.append(torch.bmm(weights.mT, by_out))
            by_query[level.start : level.end] = by_token(torch.stack(own_queries).mul_(ctx.scaling), level)
            by_keys = own_and_above(torch.stack(own_keys).mul_(ctx.scaling), level, by_keys, by_key)
            by_values = own_and_above(torch.stack(own_values), level, by_values, by_value)
        return by_query, by_key, by_value, None, None, None


def seen_of(states: Tensor, level: Level, above: Tensor | None) -> Tensor:
    """The keys or values that a level's segments see. [L, K, D], [K, A, M of it, D] -> [K, S, M, D]"""
    own = by_head(states, level, states.shape[1])
    if above is None:
        return own
    (heads, segments, *shape), count = above.shape, own.shape[1]
    handed = above[:, :, None].expand(-1, -1, count // segments, -1, -1).reshape(heads, count, *shape)
    return torch.cat([handed, own], 2)


def own_and_above(by_seen: Tensor, level: Level, below: Tensor | None, by_states: Tensor) -> Tensor | None:
    """seen_of's way back. [K, S, M, D], with what the segments `below` add to it: own tokens' part goes into
    `by_states`; what is left belongs to the segments above."""
    if below is not None:
        segments = by_seen.shape[1]
        by_seen += below.view(len(below), segments, -1, *below.shape[2:]).sum(2)
    width = level.real.shape[1]
    above, own = torch.split(by_seen, [by_seen.shape[2] - width, width], 2)
    by_states[level.start : level.end] = by_token(own, level)
    return above if above.shape[2] else None


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
    rows = states.reshape(heads, count, -1, width, size).permute(1, 3, 0, 2, 4).reshape(count * width, -1, size)
    return rows.index_select(0, level.slot)
