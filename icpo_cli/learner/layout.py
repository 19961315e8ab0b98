"""Who sees whom in a packed row: the masks of its levels, which all layers of a pass share."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from icpo_cli.learner.pack import Level

Mask = TypeVar("Mask")


class Layout:
    """A row's levels and their masks, each made once.

    A level has S segments of W tokens, which see M keys; `each` heads share a key, their queries one behind the other.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = tuple(levels)
        self._masks: dict[object, Any] = {}

    @property
    def most_keys(self) -> int:
        """That a token sees, padding among them."""
        return max(level.key_real.shape[1] for level in self.levels)

    def seen(self, level: Level, each: int, window: int | None) -> Tensor:
        """True where a query sees a key. bool [S, each * W, M]"""
        return self._once(("seen", level.start, each, window), lambda: _seen(level, window).repeat(1, each, 1))

    def added(self, level: Level, each: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """To scores: 0 where a query sees a key, else minus infinity. [S, each * W, M]"""

        def make() -> Tensor:
            hidden = ~self.seen(level, each, window)
            return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)

        return self._once(("added", level.start, each, window, dtype), make)

    def hidden(self, depth: int, each: int, window: int | None) -> tuple[Tensor | None, ...]:
        """Where a query of that level does not see a key, by the level of the key; None where it sees them all.

        bool [S, each * W, that level's W]
        """

        def make() -> tuple[Tensor | None, ...]:
            levels = self.levels[: depth + 1]
            hidden = ~self.seen(levels[-1], each, window)
            blocks = torch.split(hidden, [level.real.shape[1] for level in levels], -1)
            return tuple(block.contiguous() if block.any() else None for block in blocks)

        return self._once(("hidden", depth, each, window), make)

    def _once(self, key: object, make: Callable[[], Mask]) -> Mask:
        if key not in self._masks:
            self._masks[key] = make()
        mask: Mask = self._masks[key]
        return mask


def _seen(level: Level, window: int | None) -> Tensor:
    """Along one text positions only grow: a key is seen where it is real and stands no later. bool [S, W, M]"""
    distance = level.position[:, :, None] - level.key_position[:, None, :]
    seen = level.key_real[:, None, :] & (distance >= 0)
    if window is not None:
        seen &= distance < window
    # A padded query must see something; nobody reads what comes of it.
    return seen | ~level.real[:, :, None]
