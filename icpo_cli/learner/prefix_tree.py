"""Attention masks of a packed row's levels, shared by all layers of a forward."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from icpo_cli.learner.pack import Level

Mask = TypeVar("Mask")


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

    def _once(self, key: object, compute: Callable[[], Mask]) -> Mask:
        if key not in self._masks:
            self._masks[key] = compute()
        mask: Mask = self._masks[key]
        return mask


def _visible(level: Level, window: int | None) -> Tensor:
    """Causal mask with an optional sliding window, from positions in the text. bool [S, W, M]"""
    distance = level.position[:, :, None] - level.key_position[:, None, :]
    visible = level.key_real[:, None, :] & (distance >= 0)
    if window is not None:
        visible &= distance < window
    # A padded query must see at least one key, or its softmax is NaN; its output is never read.
    return visible | ~level.real[:, :, None]
