import pytest

from icpo_cli.config.check import inactive_keys
from icpo_cli.config.load import load_config


@pytest.mark.parametrize(
    ("arguments", "key", "why"),
    [
        (["method=grpo"], "method.delta", "method grpo has no bonus"),
        (["method=dapo"], "method.omega.schedule", "method dapo has no bonus"),
        (["method.omega.schedule=constant"], "method.omega.warmup_fraction", "has no warm-up"),
        (["method.omega.schedule=constant"], "method.omega.min", "stays at its maximum"),
        (["method.omega.schedule=linear_decay"], "method.omega.warmup_fraction", "has no warm-up"),
        (["method=dr_grpo"], "method.advantage.eps", "not divided by a std"),
        ([], "reward.noise.magnitude", "reward.noise.fraction is 0"),
        (["reward.noise.fraction=0.4", "reward.noise.magnitude=0"], "reward.noise.fraction", "magnitude is 0"),
        ([], "reward.judge.url", "reward.judge.mode is off"),
    ],
)
def test_a_setting_that_changes_nothing_is_named_with_its_reason(arguments: list[str], key: str, why: str) -> None:
    assert why in inactive_keys(load_config(arguments))[key]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ([], "method.delta"),
        ([], "method.omega.warmup_fraction"),
        (["method.omega.schedule=linear_decay"], "method.omega.min"),
        (["method.omega.schedule=warmup_retention"], "method.omega.warmup_fraction"),
        (["reward.noise.fraction=0.4"], "reward.noise.magnitude"),
        ([], "reward.noise.fraction"),
        (["method=grpo"], "method.advantage.std"),
        (["reward.judge.mode=after_rule"], "reward.judge.url"),
    ],
)
def test_a_setting_with_an_effect_is_not(arguments: list[str], key: str) -> None:
    assert key not in inactive_keys(load_config(arguments))
