"""Accuracy of icpo's strict rule and of math-verify on the labelled cases of tests/grading/cases.

The strict rule was developed on these cases until all were correct, so this does not measure it on unseen answers.
math-verify gets the gold answer between dollars, because it expects LaTeX, and the answer both as it is and between
dollars.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from math_verify import parse, verify

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold

CASES = Path(__file__).parents[2] / "tests" / "grading" / "cases"
KINDS = [kind.value for kind in AnswerKind]


def main() -> None:
    print(f"{'':8} {'equivalent':>10} {'icpo':>7} {'math-verify':>12}   {'other':>6} {'icpo':>7} {'math-verify':>12}")
    total: list[tuple[bool, bool, bool]] = []
    with Verifier(RewardConfig()) as verifier:
        for kind in KINDS:
            cases = [json.loads(line) for line in (CASES / f"{kind}.jsonl").read_text().splitlines()]
            verdicts = verifier.verify([_answer(case) for case in cases], Grading("none"))
            rows = [
                (case["correct"], verdict.correct, _math_verify(case))
                for case, verdict in zip(cases, verdicts, strict=True)
            ]
            _print(kind, rows)
            total += rows
    _print("all", total)


def _answer(case: dict[str, Any]) -> Answer:
    gold = Gold(
        case["gold"],
        AnswerKind(case["kind"]),
        tuple(case.get("choices", ())),
        tuple(case.get("aliases", ())),
        case.get("ordered"),
    )
    return Answer(case["answer"], gold)


def _math_verify(case: dict[str, Any]) -> bool:
    gold = parse(f"${case['gold']}$")
    return any(verify(gold, parse(text)) for text in (case["answer"], f"${case['answer']}$"))


def _print(name: str, rows: Sequence[tuple[bool, bool, bool]]) -> None:
    """Print the shares of equivalent answers accepted and of other answers rejected."""
    line = f"{name:8}"
    for label in (True, False):
        of_label = [row for row in rows if row[0] is label]
        shares = [sum(row[which] is label for row in of_label) / len(of_label) for which in (1, 2)]
        line += f" {len(of_label):>{10 if label else 6}} {shares[0]:7.1%} {shares[1]:12.1%}  "
    print(line.rstrip())


if __name__ == "__main__":
    main()
