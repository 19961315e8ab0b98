"""vLLM's own compiled norms, which its CPU platform leaves unused for PyTorch's slower ones.

Registered with vLLM on import; an engine takes them up by `KERNEL_CONFIG`. They stay in float32 up to the last
rounding, where the native ones round to the model's dtype before the weight is multiplied on.
"""

import torch
from torch import Tensor
from vllm import ir

PROVIDER = "icpo_cpu"
KERNEL_CONFIG = {"ir_op_priority": {"rms_norm": [PROVIDER], "fused_add_rms_norm": [PROVIDER]}}


def _fits(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return variance_size is None and weight is not None and weight.dtype == x.dtype and x.is_contiguous()


def _fits_with_residual(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    return x_residual.is_contiguous() and _fits(x, weight, epsilon, variance_size)


@ir.ops.rms_norm.register_impl(PROVIDER, supports_args=_fits)
def rms_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * weight, [..., H]."""
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


@ir.ops.fused_add_rms_norm.register_impl(PROVIDER, supports_args=_fits_with_residual, inplace=True)
def fused_add_rms_norm(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """rms_norm(x + x_residual), and x + x_residual, each in its argument's place."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
