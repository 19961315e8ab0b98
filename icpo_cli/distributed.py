"""The ranks of a run and their collectives. Every collective has the configured timeout."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch._C._distributed_c10d import HashStore
from torch.distributed import distributed_c10d

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process's rank, and collectives over all ranks of the run."""

    rank: int
    size: int
    local_size: int
    """Ranks on this host."""
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> list[T]:
        """This rank's items: every size-th, so each block of `size` consecutive items has one for each rank."""
        return list(items[self.rank :: self.size])

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over ranks in float64, which NCCL and gloo both support; on the CPU."""
        summed = values.detach().to(self.device, torch.float64, copy=True)
        if self.size > 1:
            dist.all_reduce(summed)
        return summed.cpu()

    def all_reduce_max(self, value: float) -> float:
        """Maximum over ranks."""
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return float(tensor)

    def broadcast(self, value: T | None) -> T:
        """The value of rank 0, on every rank."""
        box: list[Any] = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]  # type: ignore[no-any-return]

    def all_gather(self, value: T) -> list[T]:
        """The values of all ranks, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def all_gather_cat(self, values: Tensor) -> Tensor:
        """The values of all ranks concatenated, on every rank. [..., N] -> [..., N of all ranks]"""
        return torch.cat(self.all_gather(values), -1)

    def gather(self, value: T) -> list[T] | None:
        """The values of all ranks, in rank order, on rank 0; None on other ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, values, dst=0)
        return values

    def barrier(self) -> None:
        """Wait until every rank has called it."""
        if self.size > 1:
            dist.barrier()


def join(backend: str, device_type: str, timeout_seconds: int) -> Ranks:
    """Join the process group that the launcher's environment variables describe; without any, a group of one rank."""
    timeout = timedelta(seconds=timeout_seconds)
    # DeepSpeed and vLLM create groups of their own without a timeout: they get these defaults.
    vars(distributed_c10d).update(default_pg_timeout=timeout, default_pg_nccl_timeout=timeout)
    if "WORLD_SIZE" not in os.environ:
        # DeepSpeed reads these for a single process too.
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1, timeout=timeout)
    else:
        dist.init_process_group(backend, timeout=timeout)
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(device_type, local_rank) if device_type == "cuda" else torch.device("cpu")
    if device_type == "cuda":
        torch.cuda.set_device(device)
    size = dist.get_world_size()
    return Ranks(dist.get_rank(), size, int(os.environ.get("LOCAL_WORLD_SIZE", size)), device)


def leave() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()
