"""Which rank computes which groups."""

import pytest

from icpo_cli.learner.balance import balanced, cost_of
from icpo_cli.records import Gold, Group, Prompt, Response


def test_a_groups_cost_by_hand() -> None:
    responses = tuple(Response("", (1,) * length, (), "stop") for length in (4, 1, 0))
    group = Group(Prompt("", "", Gold(""), (1,) * 10), responses)
    # 10 + 3 tokens; 55 pairs in the prompt, 30 of the response with it, 6 in the response
    assert cost_of(group, hidden_size=2) == pytest.approx(13 + 91 / 12)


def test_the_dearest_go_apart_and_every_rank_has_as_many_of_each_mini_batch() -> None:
    costs = [9, 1, 8, 2, 1, 1, 1, 7]
    shares = balanced(costs, 4, 2)
    assert [sum(place < 4 for place in share) for share in shares] == [2, 2]
    assert sorted(place for share in shares for place in share) == list(range(8))
    assert [sum(costs[place] for place in share if place < 4) for share in shares] == [10, 10]
    assert all(share == sorted(share) for share in shares)


def test_one_rank_has_all_in_order() -> None:
    assert balanced([3, 1, 2], mini_batch=3, ranks=1) == [[0, 1, 2]]
