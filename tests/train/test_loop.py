"""When the forward of the first update also computes the old log-probs."""

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.train.loop import needs_logprobs_first


@pytest.mark.parametrize(
    ("settings", "fused"),
    [
        (["method=icpo"], True),
        (["method=rloo", "learner.kl_coef=0"], True),
        (["method=ttrl"], True),
        (["method=icpo", "learner.importance_cap=2"], True),
        (["method=icpo", "learner.old_logprobs=sampler"], False),  # no forward computes them
        (["method=dapo"], False),  # filters groups
        (["method=reinforce"], False),  # baseline over all groups
        (["method=intuitor"], False),  # rewards use log-probs
        (["method=verifree"], False),  # trains on other texts
        (["method=prime", "rollout.max_rounds=1", "rollout.keep=all"], False),  # token rewards
    ],
)
def test_the_first_forward_is_reused_if_advantages_need_only_their_own_group(settings: list[str], fused: bool) -> None:
    assert needs_logprobs_first(load_config(settings)) != fused
