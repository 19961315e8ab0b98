from typing import Any

import pytest

from icpo_cli.config.schema import MethodConfig, OmegaScheduleConfig
from icpo_cli.objective.omega import omega_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # T = 100, T_w = 20, max 1, min 0.2: at 0, 10 (half the rise), 20, 60 (half the fall), 100
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear_decay", [1.0, 0.92, 0.84, 0.52, 0.2]),
        ("warmup_retention", [0.2, 0.6, 1.0, 1.0, 1.0]),
        ("warmup_decay", [0.2, 0.6, 1.0, 0.6, 0.2]),
    ],
)
def test_schedules(schedule: Any, expected: list[float]) -> None:
    method = MethodConfig(omega=OmegaScheduleConfig(schedule=schedule, max=1.0, min=0.2, warmup_fraction=0.2))
    assert [omega_at(t, method, 100) for t in (0, 10, 20, 60, 100)] == pytest.approx(expected)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_warmup_of_nothing_and_of_everything(fraction: float) -> None:
    method = MethodConfig(omega=OmegaScheduleConfig(warmup_fraction=fraction))
    values = [omega_at(t, method, 10) for t in range(11)]
    assert values[-1] == (1.0 if fraction else 0.0)
    assert all(0 <= value <= 1 for value in values)


def test_a_method_without_bonus_has_no_omega() -> None:
    assert omega_at(50, MethodConfig(name="grpo", bonus="none"), 100) == 0.0
