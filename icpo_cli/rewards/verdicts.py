"""Sources that reward verdicts: the verifier, and PRIME, which adds token rewards from a process model."""

from icpo_cli.config.schema import RewardConfig
from icpo_cli.records import Verdict
from icpo_cli.rewards.reward import coin_of, rewarded_as_correct
from icpo_cli.rewards.source import ProcessRewards, SourceInput, SourceOutput
from icpo_cli.rng import SeedKey


def from_verdicts(inputs: SourceInput) -> SourceOutput:
    """1 for a correct answer, else 0; flipped by verdict noise, or a random coin, if configured."""
    return SourceOutput(
        answer=[
            [
                verdict_reward(verdict, inputs.config, inputs.seed_key.at(group.prompt.id, number))
                for number, verdict in enumerate(verdicts)
            ]
            for group, verdicts in zip(inputs.groups, inputs.verdicts, strict=True)
        ],
        decided=[all(verdict.decided for verdict in verdicts) for verdicts in inputs.verdicts],
    )


def verdict_reward(verdict: Verdict, config: RewardConfig, key: SeedKey) -> float:
    """1 or 0: the answer reward of a verdict; `key` seeds its random draws."""
    if config.control == "random":
        return float(coin_of(key))
    return float(rewarded_as_correct(verdict.correct, config.noise, key))


def from_process(inputs: SourceInput) -> SourceOutput:
    """PRIME: the verifier's rewards, with token rewards from a process model that is trained on the outcomes."""
    import torch

    from icpo_cli.objective.process import process_reward

    outcome = from_verdicts(inputs)
    assert inputs.process_logprobs is not None
    old = inputs.process_logprobs(inputs.groups)
    assert old.ref_logprob is not None
    reward = process_reward(old.logprob.double(), old.ref_logprob.double(), inputs.config.process.beta)
    total = (reward * old.mask).sum(-1)  # [P, G]
    agrees = (total > 0) == (torch.tensor(outcome.answer) > 0)  # [P, G]
    return SourceOutput(
        answer=outcome.answer,
        decided=outcome.decided,
        columns={"process_reward": total.tolist(), "process_agrees": agrees.double().tolist()},
        process=ProcessRewards(old, reward),
    )
