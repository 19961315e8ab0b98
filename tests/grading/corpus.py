"""The labelled cases of tests/grading/cases, and the benchmarks' data where it is at hand."""

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
    """An answer to a gold answer, whether it is right, and why."""

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
    """Each row of a case file with its place."""
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


def told(case: LabelledCase, verdict: Verdict) -> str:
    """One line on a verdict that is not the case's."""
    wanted = "correct" if case.correct else "not correct"
    return (
        f"{case.place}: gold {case.gold.answer[:80]!r}, answer {case.answer[:80]!r}: {verdict.kind} by {verdict.rule} "
        f"({verdict.reason[:100]}); should be {wanted}: {case.why}"
    )


def fail_with(lines: Sequence[str], of: int) -> None:
    """Every failure at once, where there is one."""
    if lines:
        pytest.fail(f"{len(lines)} of {of}:\n" + "\n".join(lines), pytrace=False)
