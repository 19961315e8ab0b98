import json
from pathlib import Path
from typing import Any

import pytest
import torch

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.methods import Derivation, derive

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "golden_groups.json").read_text())["cases"]


def group(confidence: list[float], reward: list[float], omega: float, **method: Any) -> Derivation:
    return derive(
        torch.tensor(confidence, dtype=torch.float64),
        torch.tensor(reward, dtype=torch.float64),
        omega,
        MethodConfig(**method),
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_papers_worked_examples(case: dict) -> None:
    derivation = group(case["logprob"], case["reward"], case["omega"], delta=case["delta"], tau=case["tau"])
    for name in ("preference_score", "final_reward", "advantage", "grpo_advantage"):
        assert getattr(derivation, name).tolist() == pytest.approx(case[name], abs=1e-3), name


def test_omega_0_is_grpo_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    confidence = -torch.rand(200, 5, generator=generator, dtype=torch.float64)
    reward = torch.randint(0, 3, (200, 5), generator=generator).double() * 0.45 + 0.1
    icpo = derive(confidence, reward, 0.0, MethodConfig())
    grpo = derive(confidence, reward, 0.7, MethodConfig(name="grpo", bonus="none"))
    assert torch.equal(icpo.final_reward, grpo.final_reward)
    assert torch.equal(icpo.advantage, grpo.advantage)


def test_the_cap_is_each_responses_own_reward_and_no_reward_has_no_bonus() -> None:
    derivation = group([-0.4, -0.2, -0.1], [0.0, -0.2, 1.0], 1.0, delta=0.5, tau=2.0)
    assert derivation.bonus.tolist() == pytest.approx([0.0, 0.1, 0.05])
    assert derivation.capped.tolist() == [True, True, False]


def test_the_bonus_separates_a_uniform_group() -> None:
    """Aspect 2 of the paper's appendix: equal rewards, unequal confidences."""
    derivation = group([-0.4, -0.2, -0.1], [1.0, 1.0, 1.0], 1.0)
    assert derivation.grpo_advantage.tolist() == [0.0, 0.0, 0.0]
    assert derivation.advantage[0] > derivation.advantage[1] > derivation.advantage[2]


def test_the_perplexity_bonus_is_the_mean_negative_log_prob_capped_by_the_reward() -> None:
    derivation = group([-0.4, -0.2, -0.9], [1.0, -1.0, 0.9], 0.5, bonus="perplexity", alpha=0.5, tau=3.0)
    # alpha B = 0.2, 0.1, 0.45 under caps of 1/3, 1/3, 0.3
    assert derivation.bonus.tolist() == pytest.approx([0.1, 0.05, 0.15])
    assert derivation.capped.tolist() == [False, False, True]
    assert derivation.final_reward.tolist() == pytest.approx([1.1, -0.95, 1.05])
