import pytest
import torch

from icpo_cli.objective.advantage import batch_advantage, group_advantage, leave_one_out_advantage

REWARD = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.1, 0.1, 0.1, 0.1], [3.0, 1.0, 1.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("std", "third"),
    [
        ("population", [3**0.5, -1 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5]),  # mean 1.5, std sqrt(3)/2
        ("sample", [1.5, -0.5, -0.5, -0.5]),  # std 1
        ("none", [1.5, -0.5, -0.5, -0.5]),
    ],
)
def test_hand_computed_groups(std: str, third: list[float]) -> None:
    advantage = group_advantage(REWARD, std)
    assert advantage[2].tolist() == pytest.approx(third)
    assert advantage[1].tolist() == [0.0] * 4


def test_eps_joins_the_std() -> None:
    assert group_advantage(REWARD[:1], "population", eps=0.5).tolist()[0] == pytest.approx([0.5, -0.5, -0.5, 0.5])


def test_equality_decides_not_a_small_std() -> None:
    # three times 0.1 has no exact mean in floating point: a std of rounding alone must not become an advantage
    assert group_advantage(torch.tensor([0.1, 0.1, 0.1])).tolist() == [0.0, 0.0, 0.0]
    close = group_advantage(torch.tensor([0.5, 0.5 + 1e-9], dtype=torch.float64))
    assert close.tolist() == pytest.approx([-1.0, 1.0])


def test_leave_one_out_is_the_reward_minus_the_mean_of_the_others() -> None:
    advantage = leave_one_out_advantage(REWARD)
    assert advantage[0].tolist() == pytest.approx([1 - 1 / 3, -2 / 3, -2 / 3, 1 - 1 / 3])
    assert advantage[1].tolist() == [0.0] * 4
    assert advantage[2].tolist() == pytest.approx([2.0, -2 / 3, -2 / 3, -2 / 3])


@pytest.mark.parametrize(("std", "divisor"), [("none", 1.0), ("population", 0.5), ("sample", (1 / 3) ** 0.5)])
def test_a_batchs_baseline(std: str, divisor: float) -> None:
    batch = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    assert batch_advantage(batch[:3], batch, std).tolist() == pytest.approx(
        [0.5 / divisor, 0.5 / divisor, -0.5 / divisor]
    )
    assert batch_advantage(batch[:2], batch, std, eps=1.0).tolist()[0] == pytest.approx(
        0.5 if std == "none" else 0.5 / (divisor + 1)
    )


def test_a_batch_of_equal_rewards_teaches_nothing() -> None:
    batch = torch.full((7,), 0.1)
    assert batch_advantage(batch.view(1, 7), batch, "population").tolist() == [[0.0] * 7]
