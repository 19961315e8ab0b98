"""Attention masks and segments of a packed row, shared by all layers of a forward."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from icpo_cli.learner.pack import Level, broadcast_to_children

Mask = TypeVar("Mask")


class Segments(NamedTuple):
    """The N segments of a row that have tokens, as the sequences of variable-length attention."""

    cu_seq_q: Tensor  # int32 [N + 1] where each segment's tokens start in the row, and the row's length
    cu_seq_k: Tensor  # int32 [N + 1] where each segment's keys start in `key_index`, and its length
    max_q: int
    max_k: int
    key_index: Tensor  # [keys] index in the row of each key that a segment sees, ancestors' first


class PrefixTree:
    """The levels of a packed row, and their masks, each computed once.

    A level has S segments of W tokens that see M keys. `sharing` query heads share a key head (grouped-query
    attention); their queries are concatenated along the sequence.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = tuple(levels)
        self._masks: dict[object, Any] = {}

    @property
    def max_keys(self) -> int:
        """The most keys that a token sees, padding included."""
        return max(level.key_real.shape[1] for level in self.levels)

    def visible(self, level: Level, sharing: int, window: int | None) -> Tensor:
        """True where a query sees a key. bool [S, sharing * W, M]"""
        key = ("visible", level.start, sharing, window)
        return self._once(key, lambda: _visible(level, window).repeat(1, sharing, 1))

    def additive(self, level: Level, sharing: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """Mask to add to attention scores: 0 where a query sees a key, else -inf. [S, sharing * W, M]"""

        def compute() -> Tensor:
            hidden = ~self.visible(level, sharing, window)
            return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)

        return self._once(("additive", level.start, sharing, window, dtype), compute)

    def hidden(self, depth: int, sharing: int, window: int | None) -> tuple[Tensor | None, ...]:
        """Where a query of level `depth` does not see a key, one mask per level of the keys; None if it sees all.

        bool [S, sharing * W, W of the key's level]
        """

        def compute() -> tuple[Tensor | None, ...]:
            levels = self.levels[: depth + 1]
            hidden = ~self.visible(levels[-1], sharing, window)
            blocks = torch.split(hidden, [level.real.shape[1] for level in levels], -1)
            return tuple(block.contiguous() if block.any() else None for block in blocks)

        return self._once(("hidden", depth, sharing, window), compute)

    def segments(self) -> Segments:
        return self._once("segments", lambda: _segments(self.levels))

    def _once(self, key: object, compute: Callable[[], Mask]) -> Mask:
        if key not in self._masks:
            self._masks[key] = compute()
        mask: Mask = self._masks[key]
        return mask


def _segments(levels: Sequence[Level]) -> Segments:
    seen: Tensor | None = None  # [S, M] index in the row of the keys that a level's segments see, any on padding
    lengths, key_lengths, key_index = [], [], []
    for level in levels:
        own = torch.zeros_like(level.real, dtype=torch.long).flatten()
        own[level.slot] = torch.arange(level.start, level.end, device=own.device)
        own = own.view(level.real.shape)
        seen = own if seen is None else torch.cat([broadcast_to_children(seen, len(own)), own], 1)
        has_tokens = level.real.any(1)
        lengths.append(level.real.sum(1)[has_tokens])
        key_lengths.append(level.key_real.sum(1)[has_tokens])
        key_index.append(seen[has_tokens][level.key_real[has_tokens]])
    length, key_length = torch.cat(lengths), torch.cat(key_lengths)
    return Segments(
        _offsets(length), _offsets(key_length), int(length.max()), int(key_length.max()), torch.cat(key_index)
    )


def _offsets(lengths: Tensor) -> Tensor:
    """[N] -> int32 [N + 1], from 0 to the sum."""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int()


def _visible(level: Level, window: int | None) -> Tensor:
    """Causal mask with an optional sliding window, from positions in the text. bool [S, W, M]"""
    distance = level.position[:, :, None] - level.key_position[:, None, :]
    visible = level.key_real[:, None, :] & (distance >= 0)
    if window is not None:
        visible &= distance < window
    # A padded query must see at least one key, or its softmax is NaN; its output is never read.
    return visible | ~level.real[:, :, None]
