"""What is made again in the backward: the same gradients, and nothing kept until then."""

import weakref
from contextlib import nullcontext

import torch
from torch import Tensor

from icpo_cli.learner.cpu.recompute import Remade


def gradients(remakes: bool) -> tuple[list[Tensor | None], bool, int]:
    """Of two products with a tensor that was offered; whether it lived until the backward; how often it was made."""
    draw = torch.Generator().manual_seed(0)
    leaf, one, other = (torch.randn(3, 3, generator=draw, requires_grad=True) for _ in range(3))
    remade, times = Remade(), 0

    def again() -> Tensor:
        nonlocal times
        times += 1
        return leaf.detach() ** 2

    with remade.instead_of_keeping() if remakes else nullcontext():
        squared = remade.offer(leaf**2, again)
        result = (squared @ one).sin().sum() + (squared @ other).cos().sum()
    alive = weakref.ref(squared)
    del squared
    lived = alive() is not None
    result.backward()
    return [leaf.grad, one.grad, other.grad], lived, times


def test_gradients_are_the_same_and_the_tensor_is_gone_in_between() -> None:
    kept, lived, times = gradients(remakes=False)
    assert lived and times == 0
    again, lived, times = gradients(remakes=True)
    assert not lived and times == 1  # for both of its savers
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def test_a_part_of_it_is_kept_as_any_other_tensor() -> None:
    leaf = torch.arange(6.0).view(3, 2).requires_grad_()
    weight = torch.ones(2, 2, requires_grad=True)
    remade = Remade()
    with remade.instead_of_keeping():
        squared = remade.offer(leaf**2, lambda: torch.full((3, 2), torch.nan))
        (squared[:1] @ weight).sum().backward()
    assert weight.grad is not None and torch.equal(weight.grad, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
