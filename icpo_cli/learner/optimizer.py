"""AdamW that can skip a step, and the monitor that decides when it must."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from icpo_cli.config.schema import LearnerConfig


class SkippableAdamW(torch.optim.AdamW):
    """AdamW whose next step can be skipped; DeepSpeed clears the gradients in either case."""

    skip = False
    max_grad_norm: float | None = None
    """If set, clip here and keep the norm: without ZeRO, DeepSpeed clips float32 gradients but does not report it."""
    grad_norm = 0.0

    def step(self, closure: Any = None) -> Any:
        if self.skip:
            return None
        if self.max_grad_norm is not None:
            parameters = [parameter for group in self.param_groups for parameter in group["params"]]
            self.grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        return super().step(closure)


def adamw(parameters: Iterable[nn.Parameter], learner: LearnerConfig) -> SkippableAdamW:
    """The optimizer of `parameters`, with the learner's learning rate, betas and weight decay."""
    first, second = learner.adam_betas
    return SkippableAdamW(
        parameters, lr=learner.learning_rate, betas=(first, second), weight_decay=learner.weight_decay, fused=True
    )


class NonFiniteGradMonitor:
    """Watches every gradient of a module through hooks, as AMP's GradScaler does with found_inf."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._sum = torch.zeros((), device=device)
        for parameter in module.parameters():
            parameter.register_hook(self._add)  # type: ignore[no-untyped-call]

    def pop_found_inf(self) -> bool:
        """Whether any gradient since the last call was infinite or NaN."""
        found = not bool(torch.isfinite(self._sum))
        self._sum.zero_()
        return found

    def _add(self, gradient: Tensor) -> None:
        # 0 * finite is 0; 0 * inf and 0 * NaN are NaN. Nothing waits for the device here.
        self._sum.add_(gradient.sum().float() * 0)
