"""PRIME: rewards by token, their advantages, and the loss of the model that makes them."""

import math

import pytest
import torch

from icpo_cli.objective.process import outcome_loss, process_advantage, process_reward

REWARD = torch.tensor([[[0.1, 0.3, 0.0], [0.2, 0.0, 0.0]]], dtype=torch.float64)  # [1, 2, 3]
MASK = torch.tensor([[[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)


def test_a_tokens_reward_is_its_log_ratio() -> None:
    assert process_reward(torch.tensor([-1.0]), torch.tensor([-1.5]), 0.05).tolist() == pytest.approx([0.025])


def test_advantages_add_up_from_the_end_less_the_others_mean() -> None:
    advantage = process_advantage(REWARD, MASK)
    # means a token: 0.4 / 3 and 0.2
    first = [0.1 - 0.2, 0.3 - 0.2, 0.0 - 0.2]
    assert advantage[0, 0].tolist() == pytest.approx([sum(first), sum(first[1:]), first[2]])
    assert advantage[0, 1].tolist() == pytest.approx([0.2 - 0.4 / 3, 0.0, 0.0])


def test_the_loss_is_the_cross_entropy_of_the_outcome() -> None:
    logprob = torch.tensor([[-1.0, -1.0, 9.0], [-2.0, -1.0, -1.0]], dtype=torch.float64)
    ref = torch.tensor([[-2.0, -3.0, 0.0], [-1.0, -1.0, -1.0]], dtype=torch.float64)
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    output = outcome_loss(logprob, ref, torch.tensor([1.0, 0.0], dtype=torch.float64), mask, 0.5, 4)
    # logits 0.5 * 3 and 0.5 * -1
    expected = (math.log(1 + math.exp(-1.5)) + math.log(1 + math.exp(-0.5))) / 4
    assert float(output.loss) == pytest.approx(expected)


def test_its_gradient_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    logprob = -torch.rand(3, 4, generator=generator, dtype=torch.float64)
    ref = -torch.rand(3, 4, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.float64)
    outcome = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: outcome_loss(x, ref, outcome, mask, 0.05, 3).loss, (logprob.requires_grad_(),)
    )
