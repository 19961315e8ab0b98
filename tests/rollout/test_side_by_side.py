import pytest

from icpo_cli.rollout.sampler import Request
from icpo_cli.rollout.side_by_side import deal


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_requests_are_dealt_whole_prompts_at_a_time(count: int) -> None:
    requests = [Request((prompt,), seed) for prompt in range(5) for seed in range(4)]
    shares = deal(requests, count)
    assert sorted(place for share in shares for place in share) == list(range(20))
    assert len(shares) == min(count, 5)
    homes = [{requests[place].tokens for place in share} for share in shares]
    assert sum(len(home) for home in homes) == 5
