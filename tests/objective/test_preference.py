import math

import pytest
import torch

from icpo_cli.objective.preference import preference_score


def by_pairs(confidence: list[float], delta: float) -> list[float]:
    """Eq. 9 as it is printed: over pairs."""
    last = max(confidence)
    return [sum(delta * other / own for other in confidence if other > own) - delta * last for own in confidence]


def test_hand_computed_group() -> None:
    # S1 = 0.5 (0.2/0.4 + 0.1/0.4) + 0.05, S2 = 0.5 (0.1/0.2) + 0.05, S3 = 0.05
    score = preference_score(torch.tensor([-0.4, -0.2, -0.1], dtype=torch.float64), 0.5)
    assert score.tolist() == pytest.approx([0.425, 0.3, 0.05])


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_equals_the_sum_over_pairs(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    confidence = -torch.rand(50, size, generator=generator, dtype=torch.float64)
    score = preference_score(confidence, 0.4)
    for row, expected in zip(score.tolist(), (by_pairs(row, 0.4) for row in confidence.tolist()), strict=True):
        assert row == pytest.approx(expected)


def test_equal_confidences_form_no_pair() -> None:
    confidence = [-0.3, -0.1, -0.3, -0.2]
    score = preference_score(torch.tensor(confidence, dtype=torch.float64), 1.0)
    assert score.tolist() == pytest.approx(by_pairs(confidence, 1.0))
    assert score[0] == score[2]


def test_a_probability_of_one_is_clamped() -> None:
    score = preference_score(torch.tensor([-0.2, 0.0], dtype=torch.float64), 1.0)
    assert score.tolist() == pytest.approx([1e-6 / 0.2 + 1e-6, 1e-6])
    assert torch.isfinite(preference_score(torch.zeros(4), 1.0)).all()


def test_a_response_without_tokens_leaves_the_others_finite() -> None:
    score = preference_score(torch.tensor([-math.inf, -0.2, -0.1], dtype=torch.float64), 1.0)
    assert score.tolist() == pytest.approx([0.1, 0.1 / 0.2 + 0.1, 0.1])
