"""The processes of a run and what they tell one another. Every exchange has the run's deadline."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch._C._distributed_c10d import HashStore

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process's place among those of the run."""

    rank: int
    size: int
    local_rank: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """This rank's items: every size-th, so that equal runs of `size` items are one from each rank."""
        return list(items[self.rank :: self.size])

    def total(self, values: Tensor) -> Tensor:
        """Sum over ranks, elementwise, in float64 (NCCL and gloo both have it)."""
        summed = values.detach().to(self.device, torch.float64, copy=True)
        if self.size > 1:
            dist.all_reduce(summed)
        return summed.cpu()

    def most(self, value: float) -> float:
        """The largest of the ranks' values."""
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return float(tensor)

    def from_first(self, value: T | None) -> T:
        """Rank 0's value, on every rank."""
        box: list[Any] = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]  # type: ignore[no-any-return]

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """Every rank's values, one after another, on every rank. [..., N of this rank] -> [..., N of all]"""
        return torch.cat(self.gather(values), -1)

    def gather_to_first(self, value: T) -> list[T] | None:
        """Every rank's value, in rank order, on rank 0; None elsewhere."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, values, dst=0)
        return values

    def wait(self) -> None:
        """Until every rank is here."""
        if self.size > 1:
            dist.barrier()


def join(backend: str, device_type: str, timeout_seconds: int) -> Ranks:
    """Join the process group that the environment describes; alone where it describes none."""
    timeout = timedelta(seconds=timeout_seconds)
    if "WORLD_SIZE" not in os.environ:
        # DeepSpeed reads these of a single process too.
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1, timeout=timeout)
    else:
        dist.init_process_group(backend, timeout=timeout)
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(device_type, local_rank) if device_type == "cuda" else torch.device("cpu")
    if device_type == "cuda":
        torch.cuda.set_device(device)
    return Ranks(dist.get_rank(), dist.get_world_size(), local_rank, device)


def leave() -> None:
    """End this process's part in the group."""
    if dist.is_initialized():
        dist.destroy_process_group()
