"""RLPR: a response is worth how probable its reasoning makes the reference answer."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from icpo_cli.records import Group, Prompt, Response
from icpo_cli.rewards.source import Credit, Sampled

TAG = "<answer>"
Encode = Callable[[str], list[int]]


def from_reference_probability(sampled: Sampled) -> Credit:
    """The mean probability of the reference answer's tokens behind the response's own reasoning, minus the same
    without any, within 0 and 1 (RLPR, Eq. 2 to 4). 0 for a response without exactly one answer tag."""
    asked = [with_reference(group, sampled.encode) for group in sampled.groups]
    scores = sampled.score([group for group, _ in asked])  # [P, G+1, T]
    mask = reference_mask(asked, scores.mask)
    probability = (scores.logprob.double().exp() * mask).sum(-1) / mask.sum(-1).clamp(min=1)  # [P, G+1]
    behind, alone = probability[:, :-1], probability[:, -1:]
    return Credit(
        answer=(behind - alone).clamp(0, 1).tolist(),
        decided=[True] * len(asked),
        columns={
            "reference_prob": behind.tolist(),
            "reference_prob_alone": alone.expand_as(behind).tolist(),
        },
    )


def with_reference(group: Group, encode: Encode, closing: str = "") -> tuple[Group, list[int]]:
    """The group with the reference answer in place of each response's own, and once more without any reasoning.

    Also how many tokens at the end of each of the G+1 texts are the reference's, `closing` behind it among them; 0
    where a response has no place for it, whose text is then empty.
    """
    heads = [_up_to_answer(response.text) for response in group.responses]
    texts = [_joined(head, group.prompt, encode, closing) for head in [*heads, TAG]]
    return (
        Group(group.prompt, tuple(Response("", tokens, (0.0,) * len(tokens), "stop") for tokens, _ in texts)),
        [count for _, count in texts],
    )


def reference_mask(asked: Sequence[tuple[Group, list[int]]], mask: Tensor) -> Tensor:
    """1 on the reference's tokens. [P, G+1, T]"""
    lengths = mask.sum(-1)  # [P, G+1]
    counts = torch.tensor([counts for _, counts in asked], dtype=mask.dtype)  # [P, G+1]
    place = torch.arange(mask.shape[-1])
    return mask * (place >= (lengths - counts)[..., None])


def reference_tokens(prompt: Prompt, encode: Encode, space: str = "") -> list[int]:
    """The gold answer as a response writes it."""
    return encode(space + prompt.gold.answer.strip())


def _up_to_answer(response: str) -> str | None:
    """The response up to its answer; None where it has not exactly one answer tag."""
    if response.count(TAG) != 1:
        return None
    return response[: response.index(TAG) + len(TAG)] + _space_after(response)


def _space_after(response: str) -> str:
    behind = response[response.index(TAG) + len(TAG) :]
    return behind[: len(behind) - len(behind.lstrip())]


def _joined(head: str | None, prompt: Prompt, encode: Encode, closing: str) -> tuple[tuple[int, ...], int]:
    if head is None:
        return (), 0
    # The space before an answer belongs to its first token.
    stripped = head.rstrip()
    reference = [*reference_tokens(prompt, encode, head[len(stripped) :]), *encode(closing)]
    return (*encode(stripped), *reference), len(reference)
