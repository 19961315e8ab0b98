"""RMSNorm and gated MLP activation that store only their inputs for the backward.

On CPU both run on a few rows at a time: on all rows at once, every elementwise step would go through memory. On CUDA
the norm is PyTorch's fused kernel, which rounds once, after the product with the weight.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu
from transformers.activations import SiLUActivation

from icpo_cli.learner.recompute import SelectiveRecompute

CACHED_VALUES = 2**18
"""Values of a float32 tensor processed at once on CPU."""


def install(model: nn.Module, recompute: SelectiveRecompute) -> None:
    """Replace the forward of Llama-like RMSNorms and SiLU-gated MLPs by these implementations.

    Their outputs are registered with `recompute`: the inputs, from which they can be recomputed, are stored anyway.
    """
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            module.forward = partial(_norm, recompute, module)  # type: ignore[method-assign]
        elif isinstance(getattr(module, "act_fn", None), SiLUActivation) and hasattr(module, "gate_proj"):
            module.forward = partial(_gated_mlp, recompute, module)  # type: ignore[method-assign]


def _norm(recompute: SelectiveRecompute, module: Any, hidden: Tensor) -> Tensor:
    # The recipe has its own copy of the weight: under ZeRO 3 a view of it would keep a layer's gathered weights.
    inputs = hidden.detach(), module.weight.detach().clone(), module.variance_epsilon
    if hidden.device.type == "cuda":
        normed = rms_norm(hidden, module.weight.shape, module.weight, module.variance_epsilon)
    else:
        normed = _Norm.apply(hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return recompute.register(normed, lambda: _normed(*inputs))


def _gated_mlp(recompute: SelectiveRecompute, module: Any, hidden: Tensor) -> Tensor:
    gate, up = module.gate_proj(hidden), module.up_proj(hidden)
    inputs = gate.detach(), up.detach()
    gated: Tensor = _Gated.apply(gate, up)  # type: ignore[no-untyped-call]
    down: Tensor = module.down_proj(recompute.register(gated, lambda: _gated(*inputs)))
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
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        hidden, weight = ctx.saved_tensors
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        for rows, grad_normed, out in _chunks(hidden, grad.contiguous(), grad_hidden):
            unit, scale = _unit(rows, ctx.epsilon)
            grad_normed = grad_normed.float()
            product = grad_normed * unit
            grad_weight += product.sum(0)
            along = torch.mv(product, weight.float())[:, None] / -unit.shape[1]  # -mean(grad_unit * unit)
            grad_unit = grad_normed.mul_(weight)
            out.copy_(grad_unit.addcmul_(unit, along).mul_(scale))
        return grad_hidden, grad_weight.to(weight.dtype), None


class _Gated(torch.autograd.Function):
    """silu(gate) * up. [..., I]"""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _gated(gate, up)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        gate, up = ctx.saved_tensors
        grad_gate, grad_up = torch.empty_like(gate), torch.empty_like(up)
        for gate_rows, up_rows, grad_gated, gate_out, up_out in _chunks(gate, up, grad, grad_gate, grad_up):
            torch.mul(grad_gated, silu(gate_rows), out=up_out)
            torch.ops.aten.silu_backward.grad_input(grad_gated * up_rows, gate_rows, grad_input=gate_out)
        return grad_gate, grad_up


def _normed(hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    if hidden.device.type == "cuda":
        return rms_norm(hidden, weight.shape, weight, epsilon)
    normed = torch.empty_like(hidden)
    for rows, out in _chunks(hidden, normed):
        torch.mul(_unit(rows, epsilon)[0].to(hidden.dtype), weight, out=out)
    return normed


def _gated(gate: Tensor, up: Tensor) -> Tensor:
    gated = torch.empty_like(gate)
    for gate_rows, up_rows, out in _chunks(gate, up, gated):
        torch.mul(silu(gate_rows), up_rows, out=out)
    return gated


def _unit(rows: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Rows scaled to a mean square of 1, and their scale factors. [R, H] -> float32 [R, H], [R, 1]"""
    rows = rows.float()
    scale = torch.rsqrt(rows.square().mean(-1, keepdim=True) + epsilon)
    return rows * scale, scale


def _chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of each tensor, on CPU as many at a time as fit in the cache. Contiguous [..., H] -> [R, H]"""
    flat = [tensor.view(-1, tensor.shape[-1]) for tensor in tensors]
    on_cpu = flat[0].device.type == "cpu"
    count = max(1, CACHED_VALUES // flat[0].shape[1] if on_cpu else len(flat[0]))
    for start in range(0, len(flat[0]), count):
        yield tuple(tensor[start : start + count] for tensor in flat)
