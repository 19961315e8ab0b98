"""The differences between a CPU and a GPU install, as one record: everything else runs the same code; and the GPUs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

if TYPE_CHECKING:
    import torch

PEAK_BF16_FLOPS = {
    "H100 PCIE": 756e12,
    "H100 NVL": 835e12,
    "H200 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H800": 989e12,
    "H20": 148e12,
    "A100": 312e12,
    "A800": 312e12,
    "L40S": 362e12,
    "B200": 2250e12,
}
"""FLOP/s of dense bfloat16 matmuls, from NVIDIA's data sheets."""


@dataclass(frozen=True)
class DeviceProfile:
    """Settings that depend on the device type."""

    type: str
    """cpu or cuda."""
    dtype: "torch.dtype"
    """Dtype of weights and activations, in learner and sampler."""
    backend: str
    """Backend of torch.distributed."""
    sleeps: bool
    """The sampler frees the device's memory while the learner works (vLLM's sleep mode)."""
    zero_stage: int
    """ZeRO stage if learner.zero_stage is null."""


def device_profile(config: Config) -> DeviceProfile:
    """Return the profile for `train.device`; auto chooses CUDA if torch sees a GPU."""
    import torch

    available = torch.cuda.is_available()
    if config.train.device == "cuda" and not available:
        raise UserError("train.device: cuda, but torch sees no GPU here; use train.device=cpu")
    dtype = torch.bfloat16 if config.model.dtype == "bfloat16" else torch.float32
    if available and config.train.device != "cpu":
        return DeviceProfile("cuda", dtype, backend="nccl", sleeps=True, zero_stage=2)
    return DeviceProfile("cpu", dtype, backend="gloo", sleeps=False, zero_stage=1)


def peak_flops(device: "torch.device", dtype: "torch.dtype") -> float | None:
    """FLOP/s of the device's matmuls; None where it is not known: on CPU, in float32, for another card."""
    import torch

    if device.type != "cuda" or dtype != torch.bfloat16:
        return None
    return peak_of_card(torch.cuda.get_device_name(device))


def peak_of_card(name: str) -> float | None:
    """FLOP/s of bfloat16 matmuls by the card's name in CUDA; None for a part of a card (MIG)."""
    words = f" {name.upper().replace('-', ' ')} "
    if " MIG " in words:
        return None
    return next((peak for card, peak in PEAK_BF16_FLOPS.items() if f" {card} " in words), None)


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use, as the driver reports it."""

    index: str
    name: str
    total_gib: float
    used_gib: float
    """By all processes."""
    driver: str


def gpus() -> list[Gpu]:
    """The GPUs of CUDA_VISIBLE_DEVICES, else all; none without nvidia-smi. Does not initialize CUDA."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = "--query-gpu=index,uuid,name,memory.total,memory.used,driver_version"
    listed = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = []
    for line in listed.stdout.splitlines():
        index, uuid, name, total, used, driver = (column.strip() for column in line.split(","))
        if visible is None or {index, uuid} & {each.strip() for each in visible.split(",")}:
            found.append(Gpu(index, name, float(total) / 1024, float(used) / 1024, driver))
    return found
