import multiprocessing

import pytest
import torch

from icpo_cli.config.load import load_config
from icpo_cli.device import DeviceProfile
from icpo_cli.rollout.data_parallel import DataParallelSampler, shard
from icpo_cli.rollout.sampler import SampleRequest
from icpo_cli.rollout.vllm_sampler import EngineSpec


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_requests_are_sharded_by_whole_prompts(count: int) -> None:
    requests = [SampleRequest((prompt,), seed) for prompt in range(5) for seed in range(4)]
    shards = shard(requests, count)
    assert sorted(index for indices in shards for index in indices) == list(range(20))
    assert len(shards) == min(count, 5)
    prompts = [{requests[index].tokens for index in indices} for indices in shards]
    assert sum(len(tokens) for tokens in prompts) == 5


def test_engine_processes_may_have_children_and_end_when_a_stream_is_abandoned() -> None:
    """The engines never start: after the first poll their processes are still importing."""
    cpu = DeviceProfile("cpu", torch.float32, backend="gloo", sleeps=False, zero_stage=1)
    sampler = DataParallelSampler(2, EngineSpec.of_rollout(load_config([])), "no model", "float32", cpu)
    stream = sampler.stream([SampleRequest((1,), 0), SampleRequest((2,), 0)], 1.0)
    assert next(stream) == []
    assert [child.daemon for child in multiprocessing.active_children()] == [False, False]
    sampler.close()
    assert multiprocessing.active_children() == []
