"""PRIME: the verdict as outcome, and a reward for every token from a second model that is taught the outcomes."""

import torch

from icpo_cli.objective.process import process_reward
from icpo_cli.rewards.source import Credit, Process, Sampled, from_verdicts


def from_process(sampled: Sampled) -> Credit:
    """The verifier's credit, with process rewards beside it."""
    outcome = from_verdicts(sampled)
    assert sampled.process_score is not None
    scores = sampled.process_score(sampled.groups)
    assert scores.ref_logprob is not None
    reward = process_reward(scores.logprob.double(), scores.ref_logprob.double(), sampled.config.process.beta)
    whole = (reward * scores.mask).sum(-1)  # [P, G]
    said_right = (whole > 0) == (torch.tensor(outcome.answer) > 0)  # [P, G]
    return Credit(
        answer=outcome.answer,
        decided=outcome.decided,
        columns={"process_reward": whole.tolist(), "process_agrees": said_right.double().tolist()},
        process=Process(scores, reward),
    )
