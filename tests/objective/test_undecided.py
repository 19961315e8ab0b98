"""A group that holds a response nobody could judge teaches nothing; the others are as they were."""

import pytest
import torch

from icpo_cli.config.schema import AdvantageConfig, MethodConfig
from icpo_cli.objective.methods import derive

REWARD = [[1.0, 0.1, 0.1], [1.0, 0.1, 0.1], [0.1, 1.0, 1.0], [0.1, 0.1, 0.1]]
DECIDED = torch.tensor([True, False, True, False])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_undecided_group_has_advantage_0_and_others_are_untouched(dtype: torch.dtype) -> None:
    confidence = torch.tensor([[-0.1, -0.5, -0.9]] * 4, dtype=dtype)
    reward = torch.tensor(REWARD, dtype=dtype)
    before = derive(confidence, reward, 1.0, MethodConfig())
    assert bool((before.advantage != 0).all())
    after = derive(confidence, reward, 1.0, MethodConfig(), DECIDED)
    assert torch.equal(after.advantage[~DECIDED], torch.zeros(2, 3, dtype=dtype))
    assert torch.equal(after.advantage[DECIDED], before.advantage[DECIDED])
    assert after.advantage.dtype == dtype
    for name in ("confidence", "reward", "preference_score", "bonus", "final_reward", "grpo_advantage"):
        assert torch.equal(getattr(after, name), getattr(before, name)), name


def test_a_batchs_baseline_is_taken_over_decided_groups() -> None:
    method = MethodConfig(bonus="none", advantage=AdvantageConfig(baseline="batch", std="none"))
    reward = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    derivation = derive(-torch.ones_like(reward), reward, 0.0, method, torch.tensor([True, False, True]))
    assert derivation.advantage.tolist() == [[0.5, -0.5], [0.0, 0.0], [-0.5, 0.5]]
