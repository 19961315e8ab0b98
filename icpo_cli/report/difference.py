"""In what two runs differ."""

from collections.abc import Mapping
from dataclasses import dataclass

from icpo_cli.track.read import PastRun

SECTIONS = {"data": "data.", "code": "code.", "packages": "package."}
"""By what the names of their facts begin with; all that begins otherwise is OTHERS."""
OTHERS = "facts"

Two = tuple[str | None, str | None]
"""Of both runs; None where one has none."""


@dataclass(frozen=True)
class Change:
    """A metric's newest values, which differ."""

    left: float
    right: float

    @property
    def difference(self) -> float:
        return self.right - self.left


@dataclass(frozen=True)
class Difference:
    """Only what is not equal."""

    configuration: Mapping[str, Two]
    facts: Mapping[str, Mapping[str, Two]]
    """By section: data, code, packages, facts."""
    metrics: Mapping[str, Change]
    """Of those that both runs have."""
    left_alone: Mapping[str, float]
    """The metrics that the other run has not."""
    right_alone: Mapping[str, float]


def differences(left: PastRun, right: PastRun) -> Difference:
    facts: dict[str, dict[str, Two]] = {section: {} for section in (*SECTIONS, OTHERS)}
    for key, two in _unequal(left.tags, right.tags).items():
        facts[_section(key)][key] = two
    both = sorted(left.metrics.keys() & right.metrics.keys())
    changes = {key: Change(left.metrics[key], right.metrics[key]) for key in both}
    return Difference(
        configuration=_unequal(left.params, right.params),
        facts=facts,
        metrics={key: change for key, change in changes.items() if change.difference != 0},
        left_alone={key: value for key, value in left.metrics.items() if key not in right.metrics},
        right_alone={key: value for key, value in right.metrics.items() if key not in left.metrics},
    )


def _section(key: str) -> str:
    return next((section for section, beginning in SECTIONS.items() if key.startswith(beginning)), OTHERS)


def _unequal(left: Mapping[str, str], right: Mapping[str, str]) -> dict[str, Two]:
    return {
        key: (left.get(key), right.get(key)) for key in sorted({**left, **right}) if left.get(key) != right.get(key)
    }
