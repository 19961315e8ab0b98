"""The labelled cases of tests/grading/cases, and the benchmarks' data if it is available."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.grading.verifier import Answer
from icpo_cli.records import AnswerKind, Gold, Verdict

CASES = Path(__file__).parent / "cases"
SHARED = Path(os.environ.get("ICPO_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


@dataclass(frozen=True)
class LabelledCase:
    """An answer and a gold answer, whether they are equivalent, and why."""

    gold: Gold
    answer: str
    correct: bool
    why: str
    place: str
    """file:line"""

    @property
    def graded(self) -> Answer:
        return Answer(self.answer, self.gold)


def rows_of(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(place, row) of each row of a case file."""
    lines = (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(f"{name}.jsonl:{number}", json.loads(line)) for number, line in enumerate(lines, 1)]


def cases_of(name: str) -> list[LabelledCase]:
    return [
        LabelledCase(
            Gold(
                row["gold"],
                AnswerKind(row["kind"]),
                tuple(row.get("choices", ())),
                tuple(row.get("aliases", ())),
                row.get("ordered"),
            ),
            row["answer"],
            row["correct"],
            row["why"],
            place,
        )
        for place, row in rows_of(name)
    ]


def describe(case: LabelledCase, verdict: Verdict) -> str:
    """One line about a verdict that differs from the case's label."""
    wanted = "correct" if case.correct else "not correct"
    return (
        f"{case.place}: gold {case.gold.answer[:80]!r}, answer {case.answer[:80]!r}: {verdict.kind} by {verdict.rule} "
        f"({verdict.reason[:100]}); should be {wanted}: {case.why}"
    )


def fail_with(lines: Sequence[str], of: int) -> None:
    """Fail with all failures at once, if there are any."""
    if lines:
        pytest.fail(f"{len(lines)} of {of}:\n" + "\n".join(lines), pytrace=False)
