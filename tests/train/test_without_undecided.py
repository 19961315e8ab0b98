"""A group that holds a response nobody could judge teaches nothing; the others are as they were."""

import pytest
import torch

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.methods import derive
from icpo_cli.records import Reward, Verdict, VerdictKind
from icpo_cli.train.loop import without_undecided

RIGHT, WRONG, NONE = VerdictKind.CORRECT, VerdictKind.WRONG, VerdictKind.NO_ANSWER


def rewards(*groups: list[VerdictKind]) -> list[list[Reward]]:
    return [
        [
            Reward(Verdict(kind, "7", "exact"), float(kind is RIGHT), 1.0, 0.0, 0.9 * (kind is RIGHT) + 0.1)
            for kind in group
        ]
        for group in groups
    ]


@pytest.mark.parametrize("undecided", [VerdictKind.TIMEOUT, VerdictKind.ERROR])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_group_with_an_undecided_response_has_advantage_0_and_others_are_untouched(
    undecided: VerdictKind, dtype: torch.dtype
) -> None:
    graded = rewards([RIGHT, WRONG, NONE], [RIGHT, undecided, WRONG], [WRONG, RIGHT, RIGHT], [undecided] * 3)
    confidence = torch.tensor([[-0.1, -0.5, -0.9]] * 4, dtype=dtype)
    verif = torch.tensor([[reward.verif for reward in group] for group in graded], dtype=dtype)
    before = derive(confidence, verif, 1.0, MethodConfig())
    assert bool((before.advantage[:3] != 0).all())
    after = without_undecided(before, graded)
    assert torch.equal(after.advantage[[1, 3]], torch.zeros(2, 3, dtype=dtype))
    assert torch.equal(after.advantage[[0, 2]], before.advantage[[0, 2]])
    assert after.advantage.dtype == dtype
    for name in ("confidence", "reward", "preference_score", "bonus", "final_reward", "grpo_advantage"):
        assert torch.equal(getattr(after, name), getattr(before, name)), name


def test_nothing_undecided_nothing_changed() -> None:
    graded = rewards([RIGHT, WRONG], [NONE, NONE])
    verif = torch.tensor([[reward.verif for reward in group] for group in graded])
    before = derive(torch.tensor([[-0.1, -0.5]] * 2), verif, 0.5, MethodConfig())
    assert torch.equal(without_undecided(before, graded).advantage, before.advantage)
