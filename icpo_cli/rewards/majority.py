"""TTRL: no gold answers; a response is rewarded for agreeing with the majority answer of its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.records import Gold, Group, RuleName, Verdict
from icpo_cli.rewards.source import SourceInput, SourceOutput
from icpo_cli.rng import SeedKey, stable_hash

Pair = tuple[Gold, str]
NO_ANSWERS = (RuleName.GOLD, RuleName.LIMITS)
"""Rules that refuse a text as a gold answer; such a text equals no other."""


@dataclass(frozen=True)
class Vote:
    """The majority vote over one prompt's responses."""

    label: str | None
    """The majority answer; None if no response has an answer."""
    share: float
    """Share of all responses that gave it."""
    agrees: tuple[bool, ...]
    """Per response: whether its answer equals the label."""
    decided: bool
    """False if an answer could not be compared with the others (timeout, error)."""


def from_majority(inputs: SourceInput) -> SourceOutput:
    """1 for a response whose answer equals the majority answer, else 0. Answers that the verifier finds equal vote
    together."""
    answers = [_extracted(group, inputs) for group in inputs.votes]  # [P][N]
    equal = _compared(inputs.votes, answers, inputs)
    votes = [
        vote(texts, equal[p], inputs.seed_key.at(group.prompt.id))
        for p, (group, texts) in enumerate(zip(inputs.votes, answers, strict=True))
    ]
    size = len(inputs.groups[0].responses)
    return SourceOutput(
        answer=[[float(agrees) for agrees in each.agrees[:size]] for each in votes],
        decided=[each.decided for each in votes],
        columns={"majority_share": [[each.share] * size for each in votes]} | _right(votes, inputs),
    )


def vote(answers: Sequence[str | None], equal: dict[tuple[str, str], Verdict], key: SeedKey) -> Vote:
    """`equal`: the verdict on each pair of different texts. Ties are broken by the smallest hash of the answer with
    `key` (seed, iteration, prompt)."""
    leaders: dict[str, str] = {}  # each text -> the first text that it equals
    decided = True
    for text in dict.fromkeys(text for text in answers if text is not None):
        verdicts = {leader: equal[leader, text] for leader in dict.fromkeys(leaders.values())}
        decided &= all(verdict.decided or verdict.rule in NO_ANSWERS for verdict in verdicts.values())
        leaders[text] = next((leader for leader, verdict in verdicts.items() if verdict.correct), text)
    ballots = [None if text is None else leaders[text] for text in answers]
    counts = {leader: ballots.count(leader) for leader in leaders.values()}
    label = min(counts, key=lambda leader: (-counts[leader], stable_hash(*key.parts, leader)), default=None)
    return Vote(
        label=label,
        share=0.0 if label is None else counts[label] / len(answers),
        agrees=tuple(label is not None and ballot == label for ballot in ballots),
        decided=decided,
    )


def _extracted(group: Group, inputs: SourceInput) -> list[str | None]:
    return inputs.verifier.extract([response.text for response in group.responses], inputs.grading)


def _compared(
    groups: Sequence[Group], answers: Sequence[Sequence[str | None]], inputs: SourceInput
) -> list[dict[tuple[str, str], Verdict]]:
    """[P] {(one, other): verdict} for every pair of different texts of a prompt, the earlier one first."""
    keys, pairs = [], list[Pair]()
    for p, (group, texts) in enumerate(zip(groups, answers, strict=True)):
        different = list(dict.fromkeys(text for text in texts if text is not None))
        for index, one in enumerate(different):
            for other in different[index + 1 :]:
                keys.append((p, (one, other)))
                pairs.append((_as_gold(one, group), other))
    found: list[dict[tuple[str, str], Verdict]] = [{} for _ in groups]
    for (p, key), verdict in zip(keys, inputs.verifier.compare(pairs, inputs.grading), strict=True):
        found[p][key] = verdict
    return found


def _right(votes: Sequence[Vote], inputs: SourceInput) -> dict[str, list[list[float]]]:
    """Whether each label equals the gold answer, if all prompts have one: logged, not a reward."""
    if not all(group.prompt.gold.known for group in inputs.votes):
        return {}
    labelled = [(group.prompt.gold, each.label) for group, each in zip(inputs.votes, votes, strict=True)]
    verdicts = iter(
        inputs.verifier.compare([(gold, label) for gold, label in labelled if label is not None], inputs.grading)
    )
    right = [label is not None and next(verdicts).correct for _, label in labelled]
    size = len(inputs.groups[0].responses)
    return {"majority_right": [[float(is_right)] * size for is_right in right]}


def _as_gold(text: str, group: Group) -> Gold:
    """An extracted answer as a gold answer of the question's kind."""
    gold = group.prompt.gold
    return Gold(text, kind=gold.kind, choices=gold.choices, ordered=gold.ordered)
