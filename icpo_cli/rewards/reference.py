"""Rewards from the reference answer's probability after the response's reasoning.

RLPR rewards the mean token probability. VeriFree rewards the likelihood, and trains on the reasoning followed by the
reference answer instead of the response's own answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from icpo_cli.records import Group, Prompt, Response
from icpo_cli.rewards.source import ReferenceTargets, SourceInput, SourceOutput

if TYPE_CHECKING:
    from torch import Tensor

TAG, CLOSING_TAG = "<answer>", "</answer>"
Encode = Callable[[str], list[int]]


def from_reference_probability(inputs: SourceInput) -> SourceOutput:
    """RLPR, Eq. 2 to 4: mean probability of the reference's tokens after the response's reasoning, minus the same
    without any reasoning, clamped to [0, 1]. 0 for a response without exactly one answer tag."""
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


def from_reference_likelihood(inputs: SourceInput) -> SourceOutput:
    """VeriFree: R = pi(reference | prompt, reasoning): the product over the reference's tokens and the closing tag's.

    0 for a response without exactly one answer tag or cut off at the length limit; it is trained on as it is.
    """
    texts = [reference_texts(group, inputs.encode) for group in inputs.groups]
    groups = [group for group, _ in texts]
    old = inputs.logprobs(groups)  # [P, G, T]
    reference = reference_mask(texts, old.mask)
    has_reference = reference.sum(-1) > 0  # [P, G]
    likelihood = (old.logprob.double() * reference).sum(-1).exp() * has_reference
    answer = likelihood.tolist()
    return SourceOutput(
        answer=answer,
        decided=[True] * len(texts),
        columns={"reference_likelihood": answer, "reference_placed": has_reference.double().tolist()},
        targets=ReferenceTargets(groups, old, reference),
    )


def with_reference(group: Group, encode: Encode, closing: str = "") -> tuple[Group, list[int]]:
    """The group with the reference answer instead of each response's own; its last text has no reasoning.

    Also the number of tokens at the end of each of the G+1 texts that are the reference's (with `closing`). A response
    without exactly one answer tag becomes an empty text, with 0.
    """
    prefixes = [_up_to_answer(response.text) for response in group.responses]
    texts = [_joined(prefix, group.prompt, encode, closing) for prefix in [*prefixes, TAG]]
    return (
        Group(group.prompt, tuple(Response("", tokens, (0.0,) * len(tokens), "stop") for tokens, _ in texts)),
        [count for _, count in texts],
    )


def reference_texts(group: Group, encode: Encode) -> tuple[Group, list[int]]:
    """Each response's reasoning followed by the reference and the closing tag, and how many tokens these two have.

    A response without exactly one answer tag stays as it is, with a count of 0.
    """
    placed, counts = with_reference(group, encode, CLOSING_TAG)
    # The last text of `placed` is the reference without any reasoning, which VeriFree does not use.
    own = [
        (response, 0) if count == 0 or response.finish_reason == "length" else (text, count)
        for response, text, count in zip(group.responses, placed.responses[:-1], counts[:-1], strict=True)
    ]
    return Group(group.prompt, tuple(text for text, _ in own)), [count for _, count in own]


def reference_mask(texts: Sequence[tuple[Group, list[int]]], mask: Tensor) -> Tensor:
    """1 on the reference's tokens. `texts` as from `with_reference`, `mask` of all their tokens. [P, G, T]"""
    import torch

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
