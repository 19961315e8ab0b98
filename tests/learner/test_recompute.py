"""Recomputed tensors: the same gradients, and nothing stored until the backward."""

import weakref
from contextlib import nullcontext

import torch
from torch import Tensor

from icpo_cli.learner.recompute import SelectiveRecompute


def gradients(recomputes: bool) -> tuple[list[Tensor], bool, int]:
    """Gradients of two products with a registered tensor; whether it lived until the backward; how often it was
    recomputed."""
    draw = torch.Generator().manual_seed(0)
    leaf, one, other = (torch.randn(3, 3, generator=draw, requires_grad=True) for _ in range(3))
    recompute, times = SelectiveRecompute(), 0

    def again() -> Tensor:
        nonlocal times
        times += 1
        return leaf.detach() ** 2

    with recompute.saved_tensors() if recomputes else nullcontext():
        squared = recompute.register(leaf**2, again)
        result = (squared @ one).sin().sum() + (squared @ other).cos().sum()
    alive = weakref.ref(squared)
    del squared
    lived = alive() is not None
    result.backward()
    grads = [leaf.grad, one.grad, other.grad]
    return [grad for grad in grads if grad is not None], lived, times


def test_gradients_are_the_same_and_the_tensor_is_gone_in_between() -> None:
    kept, lived, times = gradients(recomputes=False)
    assert lived and times == 0
    again, lived, times = gradients(recomputes=True)
    assert not lived and times == 1  # for both of its users
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def test_a_forward_without_a_backward_is_freed() -> None:
    """softmax saves its own output: packed with its history, it would be in a reference cycle."""
    leaf = torch.randn(3, 3, requires_grad=True)
    recompute = SelectiveRecompute()
    with recompute.saved_tensors():
        weights = (leaf * 2).softmax(-1)
    alive = weakref.ref(weights)
    del weights
    assert alive() is None


def test_a_view_of_a_part_is_stored_as_any_other_tensor() -> None:
    leaf = torch.arange(6.0).view(3, 2).requires_grad_()
    weight = torch.ones(2, 2, requires_grad=True)
    recompute = SelectiveRecompute()
    with recompute.saved_tensors():
        squared = recompute.register(leaf**2, lambda: torch.full((3, 2), torch.nan))
        (squared[:1] @ weight).sum().backward()
    assert weight.grad is not None and torch.equal(weight.grad, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
