"""The process group of a run."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import torch
from torch import distributed as dist
from torch.distributed import distributed_c10d

from icpo_cli.distributed import join, leave


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("default_pg_timeout", "default_pg_nccl_timeout"):
        monkeypatch.setattr(distributed_c10d, name, getattr(distributed_c10d, name))
    join("gloo", "cpu", 77)
    yield
    leave()


def test_groups_that_libraries_create_have_the_runs_timeout(joined: None) -> None:
    """ZeRO's own group: DeepSpeed gives it no timeout."""
    group = dist.new_group([0])
    assert group._get_backend(torch.device("cpu")).options._timeout == timedelta(seconds=77)
    assert distributed_c10d._get_default_timeout(dist.Backend("nccl")) == timedelta(seconds=77)
