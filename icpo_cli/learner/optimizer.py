"""AdamW that can leave an update out, and the gauge that says when it must."""

from typing import Any

import torch
from torch import Tensor, nn


class SkippableAdamW(torch.optim.AdamW):
    """AdamW that can be told to leave everything as it is; DeepSpeed clears the gradients all the same."""

    skip = False
    max_grad_norm: float | None = None
    """Clip here, and keep the norm, where DeepSpeed would clip without telling the norm."""
    grad_norm = 0.0

    def step(self, closure: Any = None) -> Any:
        if self.skip:
            return None
        if self.max_grad_norm is not None:
            parameters = [parameter for group in self.param_groups for parameter in group["params"]]
            self.grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        return super().step(closure)


def poison_gauge(module: nn.Module, device: torch.device) -> Tensor:
    """A number that is not finite once any gradient since its last zeroing was not. []"""
    gauge = torch.zeros((), device=device)

    def watch(gradient: Tensor) -> None:
        gauge.add_(gradient.sum().float() * 0)

    for parameter in module.parameters():
        parameter.register_hook(watch)  # type: ignore[no-untyped-call]
    return gauge
