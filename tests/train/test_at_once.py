"""When the first update may go backward through the passes that score."""

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.train.loop import learns_at_once


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["method=icpo"], True),
        (["method=rloo", "learner.kl_coef=0"], True),
        (["method=ttrl"], True),
        (["method=icpo", "learner.importance_cap=2"], True),
        (["method=icpo", "learner.old_logprobs=sampler"], False),  # there is no pass that scores
        (["method=dapo"], False),  # groups may be left out
        (["method=reinforce"], False),  # the mean is of all groups
        (["method=intuitor"], False),  # rewards are of log-probs
        (["method=verifree"], False),  # other texts are trained on
        (["method=prime", "rollout.max_rounds=1", "rollout.keep=all"], False),  # tokens have rewards of their own
    ],
)
def test_an_advantage_must_hang_on_its_own_group_alone(settings: list[str], expected: bool) -> None:
    assert learns_at_once(load_config(settings)) == expected
