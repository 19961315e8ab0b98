"""Coarse data selection (App. B.1): keep prompts with uniform groups, where all GRPO advantages are 0."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.records import UNDECIDED, VerdictKind

UNIFORM = ("all_right", "all_wrong")
"""The reasons that keep a prompt."""


@dataclass(frozen=True)
class CoarseSelection:
    """Kept and dropped prompts, {prompt id: reason}."""

    kept: dict[str, str]
    """all_right or all_wrong."""
    dropped: dict[str, str]
    """mixed, or undecided: a verdict of its group was a timeout or an error."""

    @property
    def counts(self) -> dict[str, int]:
        """Prompts by reason."""
        return dict(Counter([*self.kept.values(), *self.dropped.values()]))


def select_uniform(verdicts: Mapping[str, Sequence[VerdictKind]]) -> CoarseSelection:
    """Select from a probe's {prompt id: verdicts of its responses}. A missing answer counts as wrong."""
    reasons = {prompt: reason_of(kinds) for prompt, kinds in verdicts.items()}
    return CoarseSelection(
        kept={prompt: reason for prompt, reason in reasons.items() if reason in UNIFORM},
        dropped={prompt: reason for prompt, reason in reasons.items() if reason not in UNIFORM},
    )


def reason_of(kinds: Sequence[VerdictKind]) -> str:
    """Classify a group's verdicts: all_right, all_wrong, mixed or undecided."""
    if any(kind in UNDECIDED for kind in kinds):
        return "undecided"
    right = sum(kind is VerdictKind.CORRECT for kind in kinds)
    return "all_right" if right == len(kinds) else "mixed" if right else "all_wrong"
