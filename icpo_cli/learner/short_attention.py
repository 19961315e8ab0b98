"""Attention over a packed row on CPU, for short key sequences: stores the attention weights instead of recomputing.

With few keys the weights of a query are small compared to what else is stored for its token. Each segment gets a
temporary copy of its ancestors' keys next to its own, and the queries of all heads that share a key head are multiplied
with them in one product. One key head is processed at a time, so that its scores stay in the cache.

In all shapes: K key heads, S segments of a level, Q queries of a segment (W tokens times the query heads that share a
key head), M keys that a segment sees, D head size.
"""

from typing import Any

import torch
from torch import Tensor

from icpo_cli.learner.pack import Level
from icpo_cli.learner.prefix_tree import PrefixTree


class ShortAttention(torch.autograd.Function):
    """scaled_dot_product_attention of all levels of a row. Scores are float32, as in PyTorch."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, tree: PrefixTree, window: int | None, scaling: float
    ) -> Tensor:
        """[L, H, D], [L, K, D], [L, K, D] -> [L, H, D]"""
        heads = key.shape[1]
        out, all_weights = torch.empty_like(query), []
        keys = values = None
        for depth, level in enumerate(tree.levels):
            queries = by_head(query, level, heads).float().mul_(scaling)  # [K, S, Q, D]
            keys, values = visible_states(key, level, keys), visible_states(value, level, values)  # [K, S, M, D]
            hidden = tree.hidden(depth, query.shape[1] // heads, window)
            widths = [each.real.shape[1] for each in tree.levels[: depth + 1]]
            outputs = []
            for head in range(heads):
                scores = torch.bmm(queries[head], keys[head].float().mT)  # [S, Q, M]
                for block, mask in zip(torch.split(scores, widths, -1), hidden, strict=True):
                    if mask is not None:
                        block.masked_fill_(mask, -torch.inf)
                weights = scores.softmax(-1).to(value.dtype)
                outputs.append(torch.bmm(weights, values[head]))
                all_weights.append(weights)
            out[level.start : level.end] = by_token(torch.stack(outputs), level)
        ctx.save_for_backward(query, key, value, out, *all_weights)
        ctx.tree, ctx.scaling = tree, scaling
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        query, key, value, out, *all_weights = ctx.saved_tensors
        heads, levels = key.shape[1], ctx.tree.levels
        grad_query, grad_key, grad_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        visible: list[tuple[Tensor, Tensor]] = []  # keys and values that each level's segments see
        for level in levels:
            parent = visible[-1] if visible else (None, None)
            visible.append((visible_states(key, level, parent[0]), visible_states(value, level, parent[1])))
        from_children_k = from_children_v = None
        for depth in reversed(range(len(levels))):
            level, (keys, values) = levels[depth], visible[depth]
            queries, grad_outputs, outputs = (by_head(each, level, heads) for each in (query, grad, out))
            grad_queries, grad_keys, grad_values = [], [], []
            for head in range(heads):
                weights, grad_out = all_weights[depth * heads + head], grad_outputs[head]
                grad_scores = torch.bmm(grad_out, values[head].mT)  # [S, Q, M]
                grad_scores.sub_((grad_out * outputs[head]).sum(-1, keepdim=True)).mul_(weights)
                grad_queries.append(torch.bmm(grad_scores, keys[head]))
                grad_keys.append(torch.bmm(grad_scores.mT, queries[head]))
                grad_values.append(torch.bmm(weights.mT, grad_out))
            grad_query[level.start : level.end] = by_token(torch.stack(grad_queries).mul_(ctx.scaling), level)
            stacked_keys = torch.stack(grad_keys).mul_(ctx.scaling)
            from_children_k = visible_states_backward(stacked_keys, level, from_children_k, grad_key)
            from_children_v = visible_states_backward(torch.stack(grad_values), level, from_children_v, grad_value)
        return grad_query, grad_key, grad_value, None, None, None


def visible_states(states: Tensor, level: Level, parent: Tensor | None) -> Tensor:
    """The keys or values that a level's segments see. [L, K, D], parent's [K, S', M', D] -> [K, S, M, D]"""
    own = by_head(states, level, states.shape[1])
    if parent is None:
        return own
    (heads, segments, *shape), count = parent.shape, own.shape[1]
    inherited = parent[:, :, None].expand(-1, -1, count // segments, -1, -1).reshape(heads, count, *shape)
    return torch.cat([inherited, own], 2)


def visible_states_backward(
    grad: Tensor, level: Level, from_children: Tensor | None, grad_states: Tensor
) -> Tensor | None:
    """Backward of visible_states: write the own tokens' part into `grad_states`, return the part of the ancestors.

    `grad`: [K, S, M, D], changed in place; `from_children`: what the next level returned, [K, children, M, D].
    """
    if from_children is not None:
        segments = grad.shape[1]
        grad += from_children.view(len(from_children), segments, -1, *from_children.shape[2:]).sum(2)
    width = level.real.shape[1]
    ancestors, own = torch.split(grad, [grad.shape[2] - width, width], 2)
    grad_states[level.start : level.end] = by_token(own, level)
    return ancestors if ancestors.shape[2] else None


def by_head(states: Tensor, level: Level, heads: int) -> Tensor:
    """A level's part of the row, 0 on padding. [L, K * E, D] -> [K, S, E * W, D], a new tensor."""
    (count, width), (_, all_heads, size) = level.real.shape, states.shape
    buffer = states.new_zeros(count * width, all_heads, size)
    buffer.index_copy_(0, level.slot, states[level.start : level.end])
    buffer = buffer.view(count, width, heads, all_heads // heads, size).permute(2, 0, 3, 1, 4)
    return buffer.reshape(heads, count, -1, size)


def by_token(states: Tensor, level: Level) -> Tensor:
    """Inverse of by_head, without the padding. [K, S, E * W, D] -> [n, K * E, D]"""
    (count, width), (heads, _, _, size) = level.real.shape, states.shape
    rows = states.reshape(heads, count, -1, width, size).permute(1, 3, 0, 2, 4).reshape(count * width, -1, size)
    return rows.index_select(0, level.slot)
