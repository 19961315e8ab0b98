"""Selective activation recomputation: the backward recomputes chosen tensors instead of storing them."""

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Size, Tensor
from torch.autograd.graph import saved_tensors_hooks

Recipe = Callable[[], Tensor]


class _Recomputed:
    """A tensor recomputed once for all operations that saved it, and freed after the last of them."""

    def __init__(self, recipe: Recipe, numel: int) -> None:
        self.numel = numel
        self.users = 0
        self._recipe = recipe
        self._value: Tensor | None = None

    def take(self) -> Tensor:
        value = self._recipe() if self._value is None else self._value
        self.users -= 1
        self._value = value if self.users else None
        return value


class SelectiveRecompute:
    """Registers tensors of a forward that can be recomputed, for as long as they live."""

    def __init__(self) -> None:
        self._known: dict[int, _Recomputed] = {}  # by data pointer

    def register(self, tensor: Tensor, recipe: Recipe) -> Tensor:
        """`recipe` recomputes the tensor; what the recipe refers to is kept until the backward."""
        if torch.is_grad_enabled():
            pointer = tensor.data_ptr()
            self._known[pointer] = _Recomputed(recipe, tensor.numel())
            weakref.finalize(tensor, self._known.pop, pointer, None).atexit = False
        return tensor

    def saved_tensors(self) -> AbstractContextManager[object]:
        """A context in which autograd saves recipes instead of registered tensors."""
        return saved_tensors_hooks(self._pack, _unpack) if torch.is_grad_enabled() else nullcontext()

    def _pack(self, saved: Tensor) -> Tensor | tuple[_Recomputed, Size]:
        known = self._known.get(saved.data_ptr())
        if known is None or known.numel != saved.numel():  # another tensor, or a view of a part
            # An output with its history would hold its own operation. A leaf may be a weight: ZeRO 3 replaces it.
            return saved if saved.is_leaf else saved.detach()
        known.users += 1
        return known, saved.shape


def _unpack(saved: Tensor | tuple[_Recomputed, Size]) -> Tensor:
    if isinstance(saved, Tensor):
        return saved
    recomputed, shape = saved
    return recomputed.take().view(shape)
