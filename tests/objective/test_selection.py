from typing import Any

import torch

from icpo_cli.config.schema import MethodConfig, RolloutConfig
from icpo_cli.objective.methods import derive
from icpo_cli.objective.selection import KEEP

REWARD = torch.tensor([[0.1, 0.1, 0.1], [1.0, 0.1, 0.1], [0.0, 0.0, 0.0]], dtype=torch.float64)
CONFIDENCE = torch.tensor([[-0.1, -0.2, -0.3]] * 3, dtype=torch.float64)


def kept(keep: str, final_reward: torch.Tensor = REWARD, running_std: float = 0.0, **rollout: Any) -> list[bool]:
    result: list[bool] = KEEP[keep](final_reward, final_reward > 0.5, running_std, RolloutConfig(**rollout)).tolist()
    return result


def test_groups_of_exactly_equal_final_rewards_are_left_out() -> None:
    assert kept("unequal") == [False, True, False]
    assert kept("all") == [True] * 3


def test_a_bonus_that_separates_a_uniform_group_keeps_it() -> None:
    final = derive(CONFIDENCE, REWARD, 1.0, MethodConfig()).final_reward
    assert kept("unequal", final) == [True, True, False]  # a reward of 0 has no bonus


def test_groups_of_little_spread_are_left_out() -> None:
    assert kept("spread", running_std=1.0) == [False, True, False]  # std 0, 0.52, 0 against half of 1
    assert kept("spread", running_std=1.0, min_std_ratio=0.6) == [False] * 3
    assert kept("spread") == [True] * 3


def test_groups_that_are_right_too_seldom_or_too_often_are_left_out() -> None:
    reward = torch.tensor([[0.0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    assert kept("accuracy", reward) == [False, True, True, False]  # both bounds included
    assert kept("accuracy", reward, least_accuracy=0.3) == [False, False, True, False]
