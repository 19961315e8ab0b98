"""What differs between a CPU and a GPU install: one record, so that both run the same code."""

from dataclasses import dataclass

import torch

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError


@dataclass(frozen=True)
class DeviceProfile:
    """Everything a part may ask about the machine it runs on."""

    type: str
    """cpu or cuda."""
    dtype: torch.dtype
    """Of weights and activations, in learner and sampler alike."""
    backend: str
    """Of torch.distributed."""
    sleeps: bool
    """Whether the sampler gives its memory back while the learner works."""
    zero_stage: int
    """ZeRO's, where learner.zero_stage is null."""

    def device(self, local_rank: int) -> torch.device:
        return torch.device(self.type, local_rank) if self.type == "cuda" else torch.device("cpu")


def device_profile(config: Config) -> DeviceProfile:
    """The profile of `train.device`; auto takes CUDA where torch sees it."""
    available = torch.cuda.is_available()
    if config.train.device == "cuda" and not available:
        raise UserError("train.device: cuda, but torch sees no GPU here; use train.device=cpu")
    dtype = torch.bfloat16 if config.model.dtype == "bfloat16" else torch.float32
    if available and config.train.device != "cpu":
        return DeviceProfile("cuda", dtype, backend="nccl", sleeps=True, zero_stage=2)
    return DeviceProfile("cpu", dtype, backend="gloo", sleeps=False, zero_stage=1)
