"""Attention of a packed row: each level's segments to themselves and to what they stand under.

The segments of a level go through attention side by side, padded to the longest, with the keys of the segments above
them before their own. A prompt's keys are computed once, and copied to its responses layer by layer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from icpo_cli.learner.pack import Level, handed_down

NAME = "levels"
FEW_KEYS = 512


class Layout:
    """A row's levels, and their masks, which all layers of a pass share."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = levels
        self._masks: dict[object, Tensor] = {}

    def mask(self, level: Level, each: int, window: int | None, added_to: torch.dtype | None) -> Tensor:
        """[S, 1, each * W, M] for `each` heads that share a key, one behind the other.

        bool, True where a query sees a key; or with `added_to` a dtype, 0 there and minus infinity elsewhere.
        """
        key = (level.start, each, window, added_to)
        if key not in self._masks:
            seen = _seen(level, window)[:, None].repeat(1, 1, each, 1)
            if added_to is not None:
                seen = torch.zeros(seen.shape, dtype=added_to, device=seen.device).masked_fill_(~seen, -torch.inf)
            self._masks[key] = seen
        return self._masks[key]


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
    outputs = []
    k: Tensor | None = None  # [S, M, K, D] keys of the level's segments, those above first
    for level in layout.levels:
        if k is None:
            k, v = _padded(keys, level), _padded(values, level)
        else:
            k = torch.cat([handed_down(k, len(level.real)), _padded(keys, level)], 1)
            v = torch.cat([handed_down(v, len(level.real)), _padded(values, level)], 1)
        form = _form(query, k, softcap)
        each = queries.shape[1] // keys.shape[1]
        mask = layout.mask(level, each, sliding_window, query.dtype if form is _long else None)
        attended = _attend(_padded(queries, level), k, v, partial(form, mask=mask, scaling=scaling, softcap=softcap))
        outputs.append(_Unpadded.apply(attended.flatten(0, 1), level.slot))  # type: ignore[no-untyped-call]
    return torch.cat(outputs)[None], None


def _seen(level: Level, window: int | None) -> Tensor:
    """Along one text positions only grow: a key is seen where it is real and stands no later. bool [S, W, M]"""
    distance = level.position[:, :, None] - level.key_position[:, None, :]
    seen = level.key_real[:, None, :] & (distance >= 0)
    if window is not None:
        seen &= distance < window
    # A padded query must see something; nobody reads what comes of it.
    return seen | ~level.real[:, :, None]


def _attend(query: Tensor, key: Tensor, value: Tensor, form: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """[S, W, H, D], [S, M, K, D], [S, M, K, D] -> [S, W, H, D]

    The heads that share a key stand one behind the other in its sequence: keys need not be repeated for them.
    """
    (count, width, heads, size), shared = query.shape, key.shape[2]
    each = heads // shared
    stacked = query.view(count, width, shared, each, size).permute(0, 2, 3, 1, 4)  # [S, K, H/K, W, D]
    stacked = stacked.reshape(count, shared, each * width, size)
    attended = form(stacked, key.transpose(1, 2), value.transpose(1, 2))
    return attended.view(count, shared, each, width, size).permute(0, 3, 1, 2, 4).reshape(count, width, heads, size)


def _form(query: Tensor, key: Tensor, softcap: float | None) -> Callable[..., Tensor]:
    """What is computed alike, as it is done best. [S, K, Q, D], [S, K, M, D], [S, K, M, D] -> [S, K, Q, D]"""
    if softcap is not None:
        return _softcapped
    return _few_keys if query.device.type == "cpu" and key.shape[1] <= FEW_KEYS else _long


def _softcapped(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float, softcap: float) -> Tensor:
    scores = torch.tanh(q @ k.transpose(2, 3) * scaling / softcap) * softcap
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
    return weights.to(v.dtype) @ v


def _few_keys(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float, softcap: None) -> Tensor:
    attended: Tensor = _FewKeys.apply(q, k, v, mask, scaling)  # type: ignore[no-untyped-call]
    return attended


def _long(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scaling: float, softcap: None) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)


def _padded(states: Tensor, level: Level) -> Tensor:
    """A level's part of the row, a segment a row, 0 on padding. [L, ...] -> [S, W, ...]"""
    count, width = level.real.shape
    room = states.new_zeros(count * width, *states.shape[1:])
    return room.index_copy(0, level.slot, states[level.start : level.end]).view(count, width, *states.shape[1:])


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
