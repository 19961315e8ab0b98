"""TTRL: no gold answer; the answer that most of a prompt's responses give is taken for right."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.records import Gold, Group, RuleName, Verdict
from icpo_cli.rewards.source import Credit, Sampled
from icpo_cli.rng import SeedKey, stable_hash

Pair = tuple[Gold, str]
NO_ANSWERS = (RuleName.GOLD, RuleName.LIMITS)
"""Rules by which a text is refused as something to compare with: it equals no other."""


@dataclass(frozen=True)
class Vote:
    """One prompt's."""

    label: str | None
    """The answer that won; None where no response has one."""
    share: float
    """Of all responses, those that gave it."""
    agrees: tuple[bool, ...]
    """A response: whether its answer is the label."""
    decided: bool
    """False where an answer could not be compared with the others."""


def from_majority(sampled: Sampled) -> Credit:
    """1 for a response whose answer is the majority's. Answers are one vote where the verifier takes them for equal."""
    answers = [_extracted(group, sampled) for group in sampled.votes]  # [P][N]
    equal = _compared(sampled.votes, answers, sampled)
    votes = [
        vote(texts, equal[p], sampled.seed_key.at(group.prompt.id))
        for p, (group, texts) in enumerate(zip(sampled.votes, answers, strict=True))
    ]
    size = len(sampled.groups[0].responses)
    return Credit(
        answer=[[float(agrees) for agrees in each.agrees[:size]] for each in votes],
        decided=[each.decided for each in votes],
        columns={"majority_share": [[each.share] * size for each in votes]} | _right(votes, sampled),
    )


def vote(answers: Sequence[str | None], equal: dict[tuple[str, str], Verdict], key: SeedKey) -> Vote:
    """`equal`: the verdict on each pair of different texts. Of answers with as many votes, the one whose hash with
    `key` (seed, iteration, prompt) is least."""
    leaders: dict[str, str] = {}  # a text, and the first text that it equals
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


def _extracted(group: Group, sampled: Sampled) -> list[str | None]:
    return sampled.verifier.extract([response.text for response in group.responses], sampled.grading)


def _compared(
    groups: Sequence[Group], answers: Sequence[Sequence[str | None]], sampled: Sampled
) -> list[dict[tuple[str, str], Verdict]]:
    """[P] {(one, another): the verdict}, of every pair of different texts of a prompt, the earlier one first."""
    places, pairs = [], list[Pair]()
    for p, (group, texts) in enumerate(zip(groups, answers, strict=True)):
        different = list(dict.fromkeys(text for text in texts if text is not None))
        for at, one in enumerate(different):
            for another in different[at + 1 :]:
                places.append((p, (one, another)))
                pairs.append((_as_gold(one, group), another))
    found: list[dict[tuple[str, str], Verdict]] = [{} for _ in groups]
    for (p, key), verdict in zip(places, sampled.verifier.compare(pairs, sampled.grading), strict=True):
        found[p][key] = verdict
    return found


def _right(votes: Sequence[Vote], sampled: Sampled) -> dict[str, list[list[float]]]:
    """Whether each label is the gold answer, where there is one: logged, never learned from."""
    if not all(group.prompt.gold.known for group in sampled.votes):
        return {}
    labelled = [(group.prompt.gold, each.label) for group, each in zip(sampled.votes, votes, strict=True)]
    verdicts = iter(
        sampled.verifier.compare([(gold, label) for gold, label in labelled if label is not None], sampled.grading)
    )
    right = [label is not None and next(verdicts).correct for _, label in labelled]
    size = len(sampled.groups[0].responses)
    return {"majority_right": [[float(is_right)] * size for is_right in right]}


def _as_gold(text: str, group: Group) -> Gold:
    """An answer that others are compared with, of the question's kind."""
    gold = group.prompt.gold
    return Gold(text, kind=gold.kind, choices=gold.choices, ordered=gold.ordered)
