import torch

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.methods import derive
from icpo_cli.objective.selection import KEEP

REWARD = torch.tensor([[0.1, 0.1, 0.1], [1.0, 0.1, 0.1], [0.0, 0.0, 0.0]], dtype=torch.float64)
CONFIDENCE = torch.tensor([[-0.1, -0.2, -0.3]] * 3, dtype=torch.float64)


def test_groups_of_exactly_equal_final_rewards_are_left_out() -> None:
    assert KEEP["unequal"](REWARD, 0.0).tolist() == [False, True, False]
    assert KEEP["all"](REWARD, 9.0).tolist() == [True] * 3


def test_a_bonus_that_separates_a_uniform_group_keeps_it() -> None:
    final = derive(CONFIDENCE, REWARD, 1.0, MethodConfig()).final_reward
    assert KEEP["unequal"](final, 0.0).tolist() == [True, True, False]  # a reward of 0 has no bonus


def test_groups_of_little_spread_are_left_out() -> None:
    assert KEEP["spread"](REWARD, 0.5).tolist() == [False, True, False]  # std 0, 0.52, 0
    assert KEEP["spread"](REWARD, 0.6).tolist() == [False] * 3
    assert KEEP["spread"](REWARD, 0.0).tolist() == [True] * 3
