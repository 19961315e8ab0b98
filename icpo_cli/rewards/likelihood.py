"""VeriFree: a response is worth how likely its reasoning makes the reference answer, which is taught along with it."""

from icpo_cli.records import Group, Response
from icpo_cli.rewards.reference import Encode, reference_mask, with_reference
from icpo_cli.rewards.source import Credit, Sampled, Taught

CLOSING = "</answer>"


def from_reference_likelihood(sampled: Sampled) -> Credit:
    """R = pi(reference | prompt, reasoning): the product over the reference's tokens, the closing tag's among them.

    0 for a response without exactly one answer tag, and for one that was cut off; its own tokens are taught then.
    """
    asked = [taught_texts(group, sampled.encode) for group in sampled.groups]
    groups = [group for group, _ in asked]
    scores = sampled.score(groups)  # [P, G, T]
    reference = reference_mask(asked, scores.mask)
    has_place = reference.sum(-1) > 0  # [P, G]
    likelihood = (scores.logprob.double() * reference).sum(-1).exp() * has_place
    answer = likelihood.tolist()
    return Credit(
        answer=answer,
        decided=[True] * len(asked),
        columns={"reference_likelihood": answer, "reference_placed": has_place.double().tolist()},
        taught=Taught(groups, scores, reference),
    )


def taught_texts(group: Group, encode: Encode) -> tuple[Group, list[int]]:
    """The reference and the closing tag behind each response's reasoning, and how many tokens they are; a response
    that has no place for it stays as it is, with 0 of them."""
    placed, counts = with_reference(group, encode, CLOSING)
    texts = list(
        zip(group.responses, placed.responses, counts, strict=False)
    )  # without the last, which reasons nothing
    kept = [_kept(own, with_it, count) for own, with_it, count in texts]
    return Group(group.prompt, tuple(text for text, _ in kept)), [count for _, count in kept]


def _kept(own: Response, with_reference: Response, count: int) -> tuple[Response, int]:
    if count == 0 or own.finish_reason == "length":
        return own, 0
    return with_reference, count
