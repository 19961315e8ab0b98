"""PRIME: the verdict as outcome reward, plus token rewards from a process model trained on the outcomes."""

from icpo_cli.rewards.source import ProcessRewards, SourceInput, SourceOutput, from_verdicts


def from_process(inputs: SourceInput) -> SourceOutput:
    """The verifier's rewards, with process rewards per token."""
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
