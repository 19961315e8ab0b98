"""All reward sources by name, the values of `reward.source`.

The checks of a command read it, so a source imports torch where it computes.
"""

from icpo_cli.rewards.majority import from_majority
from icpo_cli.rewards.reference import from_reference_likelihood, from_reference_probability
from icpo_cli.rewards.self_certainty import from_self_certainty
from icpo_cli.rewards.source import RewardSource
from icpo_cli.rewards.verdicts import from_process, from_verdicts

REWARD_SOURCES: dict[str, RewardSource] = {
    "verifier": RewardSource(from_verdicts, uses_verdicts=True),
    "majority": RewardSource(from_majority, needs_gold=False, uses_votes=True),
    "self_certainty": RewardSource(
        from_self_certainty, needs_logprobs=True, needs_self_certainty=True, needs_gold=False
    ),
    "reference": RewardSource(from_reference_probability, needs_reference_tokens=True),
    "likelihood": RewardSource(
        from_reference_likelihood, needs_logprobs=True, needs_reference_tokens=True, replaces_responses=True
    ),
    "process": RewardSource(from_process, needs_logprobs=True, needs_process_model=True, uses_verdicts=True),
}
