"""The differences between a CPU and a GPU install, as one record: everything else runs the same code."""

from dataclasses import dataclass

import torch

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError


@dataclass(frozen=True)
class DeviceProfile:
    """Settings that depend on the device type."""

    type: str
    """cpu or cuda."""
    dtype: torch.dtype
    """Dtype of weights and activations, in learner and sampler."""
    backend: str
    """Backend of torch.distributed."""
    sleeps: bool
    """The sampler frees the device's memory while the learner works (vLLM's sleep mode)."""
    zero_stage: int
    """ZeRO stage if learner.zero_stage is null."""


def device_profile(config: Config) -> DeviceProfile:
    """Return the profile for `train.device`; auto chooses CUDA if torch sees a GPU."""
    available = torch.cuda.is_available()
    if config.train.device == "cuda" and not available:
        raise UserError("train.device: cuda, but torch sees no GPU here; use train.device=cpu")
    dtype = torch.bfloat16 if config.model.dtype == "bfloat16" else torch.float32
    if available and config.train.device != "cpu":
        return DeviceProfile("cuda", dtype, backend="nccl", sleeps=True, zero_stage=2)
    return DeviceProfile("cpu", dtype, backend="gloo", sleeps=False, zero_stage=1)
