"""Whether the arms of a seed are given the same: hashes that each run records, laid side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.ablate.collect import JobRecord
from icpo_cli.ablate.study import Study
from icpo_cli.tables.markdown import plain_table
from icpo_cli.tables.table import text_table

FACTS = {
    "prompts": "prompts",
    "order": "data order",
    "sampling_seeds": "sampling seeds",
    "noise_draws": "noise draws",
    "heldout": "held-out questions",
}
"""What a run hashes at its start, over all its iterations, and what that is in words."""
SHOWN = 10
"""Digits of a hash in the report."""


@dataclass(frozen=True)
class Difference:
    """A job that is not given what the job it is compared with is."""

    arm: str
    against: str
    seed: int
    facts: tuple[str, ...]
    """Of FACTS, those that differ."""


def differences(study: Study, records: Sequence[JobRecord]) -> list[Difference]:
    """Of all jobs that have recorded their hashes, each against that of the arm it is compared with."""
    given = {(record.arm, record.seed): record.fairness for record in records}
    found = []
    for seed in study.seeds:
        for arm in study.arms:
            mine, others = given.get((arm.name, seed)), given.get((arm.against or "", seed))
            if mine and others and arm.against is not None:
                facts = tuple(fact for fact in FACTS if mine.get(fact) != others.get(fact))
                if facts:
                    found.append(Difference(arm.name, arm.against, seed, facts))
    return found


def to_markdown(study: Study, records: Sequence[JobRecord]) -> str:
    """The hashes of every job, arms of one seed below one another, and what differs."""
    differing = {(each.arm, each.seed): each for each in differences(study, records)}
    rows = []
    for record in sorted(records, key=lambda record: study.seeds.index(record.seed)):
        hashes = [record.fairness.get(fact, "-")[:SHOWN] for fact in FACTS]
        remark = _remark(differing.get((record.arm, record.seed)))
        rows.append((str(record.seed), record.arm, *hashes, remark))
    table = plain_table(text_table(("seed", "arm", *FACTS.values(), "differs"), rows))
    return f"# What the arms are given\n\n{summary(study, records)}\n\n{table}"


def summary(study: Study, records: Sequence[JobRecord]) -> str:
    """In a sentence."""
    recorded = sum(bool(record.fairness) for record in records)
    found = differences(study, records)
    if found:
        return f"{len(found)} of {recorded} jobs are not given what the job they are compared with is."
    if not recorded:
        return "No job has recorded hashes of what it is given."
    equal = f"{', '.join(FACTS.values())} are equal across the arms of each seed"
    return f"In the {recorded} of {len(records)} jobs that have begun, {equal}."


def _remark(difference: Difference | None) -> str:
    if difference is None:
        return ""
    return f"{', '.join(FACTS[fact] for fact in difference.facts)}, from {difference.against}"
