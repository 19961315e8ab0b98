"""Norm and gated activation of a model's layers on CPU: a few rows at a time, and little kept for the backward.

Both work on each token's row alone. Done to all rows at once every step of theirs passes through memory, and autograd
keeps what each step made; on as many rows as a cache holds only inputs are read and kept.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from transformers.activations import SiLUActivation

from icpo_cli.learner.cpu.recompute import Remade

CACHED_VALUES = 2**18
"""Of a float32 tensor, worked on at once."""


def install(model: nn.Module, remade: Remade) -> None:
    """Layers that compute norms as Llama's do, or its gated activation, take these from now on where they are on CPU.

    What they make is offered to `remade`: inputs, of which it can be made again, are kept for their own backward.
    """
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            _replace(module, partial(_norm, remade))
        elif isinstance(getattr(module, "act_fn", None), SiLUActivation) and hasattr(module, "gate_proj"):
            _replace(module, partial(_gated_mlp, remade))


def _replace(module: nn.Module, forward: Callable[[Any, Tensor], Tensor]) -> None:
    elsewhere = module.forward

    def on_cpu(hidden: Tensor) -> Tensor:
        result: Tensor = forward(module, hidden) if hidden.device.type == "cpu" else elsewhere(hidden)
        return result

    module.forward = on_cpu  # type: ignore[method-assign]


def _norm(remade: Remade, module: Any, hidden: Tensor) -> Tensor:
    kept = hidden.detach(), module.weight.detach(), module.variance_epsilon
    normed: Tensor = _Norm.apply(hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return remade.offer(normed, lambda: _normed(*kept))


def _gated_mlp(remade: Remade, module: Any, hidden: Tensor) -> Tensor:
    gate, up = module.gate_proj(hidden), module.up_proj(hidden)
    kept = gate.detach(), up.detach()
    gated: Tensor = _Gated.apply(gate, up)  # type: ignore[no-untyped-call]
    down: Tensor = module.down_proj(remade.offer(gated, lambda: _gated(*kept)))
    return down


class _Norm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + epsilon), in float32 up to the product with the weight. [..., H]"""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        hidden = hidden.contiguous()
        ctx.save_for_backward(hidden, weight)
        ctx.epsilon = epsilon
        return _normed(hidden, weight, epsilon)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        hidden, weight = ctx.saved_tensors
        by_hidden, by_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        for some, by_normed, out in _some_rows(hidden, gradient.contiguous(), by_hidden):
            unit, scale = _unit(some, ctx.epsilon)
            by_normed = by_normed.float()
            product = by_normed * unit
            by_weight += product.sum(0)
            along = torch.mv(product, weight.float())[:, None] / -unit.shape[1]  # -mean(by_unit * unit)
            by_unit = by_normed.mul_(weight)
            out.copy_(by_unit.addcmul_(unit, along).mul_(scale))
        return by_hidden, by_weight.to(weight.dtype), None


class _Gated(torch.autograd.Function):
    """silu(gate) * up. [..., I]"""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _gated(gate, up)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        gate, up = ctx.saved_tensors
        by_gate, by_up = torch.empty_like(gate), torch.empty_like(up)
        for some_gate, some_up, by_gated, gate_out, up_out in _some_rows(gate, up, gradient, by_gate, by_up):
            torch.mul(by_gated, silu(some_gate), out=up_out)
            torch.ops.aten.silu_backward.grad_input(by_gated * some_up, some_gate, grad_input=gate_out)
        return by_gate, by_up


def _normed(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    normed = torch.empty_like(hidden)
    for some, out in _some_rows(hidden, normed):
        torch.mul(_unit(some, epsilon)[0].to(hidden.dtype), weight, out=out)
    return normed


def _gated(gate: Tensor, up: Tensor) -> Tensor:
    gated = torch.empty_like(gate)
    for some_gate, some_up, out in _some_rows(gate, up, gated):
        torch.mul(silu(some_gate), some_up, out=out)
    return gated


def _unit(rows: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Rows to a mean square of 1, and what they were multiplied by. [R, H] -> float32 [R, H], [R, 1]"""
    rows = rows.float()
    scale = torch.rsqrt(rows.square().mean(-1, keepdim=True) + epsilon)
    return rows * scale, scale


def _some_rows(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of each, as many at a time as the cache holds. Of contiguous [..., H] -> [R, H]"""
    flat = [tensor.view(-1, tensor.shape[-1]) for tensor in tensors]
    at_once = max(1, CACHED_VALUES // flat[0].shape[1])
    for start in range(0, len(flat[0]), at_once):
        yield tuple(tensor[start : start + at_once] for tensor in flat)
