"""RLPR: the reward is the mean token probability of the reference answer after the response's reasoning."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from icpo_cli.records import Group, Prompt, Response
from icpo_cli.rewards.source import SourceInput, SourceOutput

TAG = "<answer>"
Encode = Callable[[str], list[int]]


def from_reference_probability(inputs: SourceInput) -> SourceOutput:
    """Mean probability of the reference's tokens after the response's reasoning, minus the same without any reasoning,
    clamped to [0, 1] (RLPR, Eq. 2 to 4). 0 for a response without exactly one answer tag."""
    texts = [with_reference(group, inputs.encode) for group in inputs.groups]
    old = inputs.logprobs([group for group, _ in texts])  # [P, G+1, T]
    mask = reference_mask(texts, old.mask)
    probability = (old.logprob.double().exp() * mask).sum(-1) / mask.sum(-1).clamp(min=1)  # [P, G+1]
    after_reasoning, alone = probability[:, :-1], probability[:, -1:]
    return SourceOutput(
        answer=(after_reasoning - alone).clamp(0, 1).tolist(),
        decided=[True] * len(texts),
        columns={
            "reference_prob": after_reasoning.tolist(),
            "reference_prob_alone": alone.expand_as(after_reasoning).tolist(),
        },
    )


def with_reference(group: Group, encode: Encode, closing: str = "") -> tuple[Group, list[int]]:
    """The group with the reference answer in place of each response's own; its last text has no reasoning.

    Also the number of tokens at the end of each of the G+1 texts that are the reference's (with `closing`). A response
    without a place for the reference becomes an empty text, with 0.
    """
    prefixes = [_up_to_answer(response.text) for response in group.responses]
    texts = [_joined(prefix, group.prompt, encode, closing) for prefix in [*prefixes, TAG]]
    return (
        Group(group.prompt, tuple(Response("", tokens, (0.0,) * len(tokens), "stop") for tokens, _ in texts)),
        [count for _, count in texts],
    )


def reference_mask(texts: Sequence[tuple[Group, list[int]]], mask: Tensor) -> Tensor:
    """1 on the reference's tokens. `texts` as from `with_reference`, `mask` of all their tokens. [P, G, T]"""
    lengths = mask.sum(-1)  # [P, G]
    counts = torch.tensor([counts for _, counts in texts], dtype=mask.dtype)  # [P, G]
    index = torch.arange(mask.shape[-1])
    return mask * (index >= (lengths - counts)[..., None])


def reference_tokens(prompt: Prompt, encode: Encode, space: str = "") -> list[int]:
    """The gold answer's tokens, after the white space `space`."""
    return encode(space + prompt.gold.answer.strip())


def _up_to_answer(response: str) -> str | None:
    """The response up to its answer, and the white space before it; None without exactly one answer tag."""
    if response.count(TAG) != 1:
        return None
    end = response.index(TAG) + len(TAG)
    answer = response[end:]
    return response[:end] + answer[: len(answer) - len(answer.lstrip())]


def _joined(prefix: str | None, prompt: Prompt, encode: Encode, closing: str) -> tuple[tuple[int, ...], int]:
    if prefix is None:
        return (), 0
    # White space before an answer belongs to the answer's first token.
    stripped = prefix.rstrip()
    reference = [*reference_tokens(prompt, encode, prefix[len(stripped) :]), *encode(closing)]
    return (*encode(stripped), *reference), len(reference)
