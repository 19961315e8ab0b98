import pytest

from icpo_cli.rollout.data_parallel import shard
from icpo_cli.rollout.sampler import SampleRequest


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_requests_are_sharded_by_whole_prompts(count: int) -> None:
    requests = [SampleRequest((prompt,), seed) for prompt in range(5) for seed in range(4)]
    shards = shard(requests, count)
    assert sorted(index for indices in shards for index in indices) == list(range(20))
    assert len(shards) == min(count, 5)
    prompts = [{requests[index].tokens for index in indices} for indices in shards]
    assert sum(len(tokens) for tokens in prompts) == 5
