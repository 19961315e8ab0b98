"""Tensors that a backward makes again from what is kept in any case, where autograd would keep them too."""

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Size, Tensor
from torch.autograd.graph import saved_tensors_hooks

Recipe = Callable[[], Tensor]


class _Again:
    """One such tensor, made once for all that saved it, and let go after the last of them."""

    def __init__(self, recipe: Recipe, numel: int) -> None:
        self.numel = numel
        self.savers = 0
        self._recipe = recipe
        self._made: Tensor | None = None

    def take(self) -> Tensor:
        made = self._recipe() if self._made is None else self._made
        self.savers -= 1
        self._made = made if self.savers else None
        return made


class Remade:
    """Knows the tensors of one forward that can be made again, as long as they live."""

    def __init__(self) -> None:
        self._known: dict[int, _Again] = {}  # by where a tensor's values stand

    def offer(self, tensor: Tensor, recipe: Recipe) -> Tensor:
        """`recipe` makes it again; what it holds is kept until then."""
        if torch.is_grad_enabled():
            place = tensor.data_ptr()
            self._known[place] = _Again(recipe, tensor.numel())
            weakref.finalize(tensor, self._known.pop, place, None).atexit = False
        return tensor

    def instead_of_keeping(self) -> AbstractContextManager[object]:
        """Within it, autograd saves recipes in place of tensors that were offered."""
        return saved_tensors_hooks(self._pack, _unpack) if torch.is_grad_enabled() else nullcontext()

    def _pack(self, saved: Tensor) -> Tensor | tuple[_Again, Size]:
        again = self._known.get(saved.data_ptr())
        if again is None or again.numel != saved.numel():  # another tensor, or a part
            return saved
        again.savers += 1
        return again, saved.shape


def _unpack(kept: Tensor | tuple[_Again, Size]) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    again, shape = kept
    return again.take().view(shape)
