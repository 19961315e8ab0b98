"""Balancing groups over ranks."""

import pytest

from icpo_cli.learner.balance import balance_by_cost, cost_of
from icpo_cli.records import Gold, Group, Prompt, Response


def test_a_groups_cost_by_hand() -> None:
    responses = tuple(Response("", (1,) * length, (), "stop") for length in (4, 1, 0))
    group = Group(Prompt("", "", Gold(""), (1,) * 10), responses)
    # 10 + 3 tokens; 55 pairs in the prompt, 30 of the response with it, 6 in the response
    assert cost_of(group, hidden_size=2) == pytest.approx(13 + 91 / 12)


def test_expensive_groups_are_spread_and_every_rank_has_equally_many_of_each_mini_batch() -> None:
    costs = [9, 1, 8, 2, 1, 1, 1, 7]
    shares = balance_by_cost(costs, 4, 2)
    assert [sum(index < 4 for index in share) for share in shares] == [2, 2]
    assert sorted(index for share in shares for index in share) == list(range(8))
    assert [sum(costs[index] for index in share if index < 4) for share in shares] == [10, 10]
    assert all(share == sorted(share) for share in shares)


def test_one_rank_has_all_in_order() -> None:
    assert balance_by_cost([3, 1, 2], mini_batch=3, ranks=1) == [[0, 1, 2]]
