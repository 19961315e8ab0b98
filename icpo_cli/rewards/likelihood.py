"""VeriFree: the reward is the likelihood of the reference answer after the response's reasoning.

The policy is trained on the reasoning followed by the reference answer, not on the response's own answer.
"""

from icpo_cli.records import Group
from icpo_cli.rewards.reference import Encode, reference_mask, with_reference
from icpo_cli.rewards.source import ReferenceTargets, SourceInput, SourceOutput

CLOSING = "</answer>"


def from_reference_likelihood(inputs: SourceInput) -> SourceOutput:
    """R = pi(reference | prompt, reasoning): the product over the reference's tokens and the closing tag's.

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


def reference_texts(group: Group, encode: Encode) -> tuple[Group, list[int]]:
    """Each response's reasoning followed by the reference and the closing tag, and how many tokens these two have.

    A response without a place for the reference stays as it is, with a count of 0.
    """
    placed, counts = with_reference(group, encode, CLOSING)
    # The last text of `placed` is the reference without any reasoning, which VeriFree does not use.
    own = [
        (response, 0) if count == 0 or response.finish_reason == "length" else (text, count)
        for response, text, count in zip(group.responses, placed.responses[:-1], counts[:-1], strict=True)
    ]
    return Group(group.prompt, tuple(text for text, _ in own)), [count for _, count in own]
