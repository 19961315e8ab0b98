"""INTUITOR: the reward is the policy's mean self-certainty over a response, independent of its answer."""

from icpo_cli.rewards.source import SourceInput, SourceOutput


def from_self_certainty(inputs: SourceInput) -> SourceOutput:
    """Mean over a response's tokens of KL(uniform || policy), nats; 0 for a response without tokens."""
    assert inputs.old is not None and inputs.old.self_certainty is not None
    per_token, mask = inputs.old.self_certainty, inputs.old.mask  # [P, G, T]
    mean = (per_token.double() * mask).sum(-1) / mask.sum(-1).clamp(min=1)  # [P, G]
    values: list[list[float]] = mean.tolist()  # type: ignore[no-untyped-call]
    return SourceOutput(answer=values, decided=[True] * len(values), columns={"self_certainty": values})
