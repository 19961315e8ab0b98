"""Recall and specificity of icpo's strict rule and of math-verify on labelled pairs, by topic.

Recall is the share of the correct answers that are accepted, specificity the share of the others that are rejected.
Without a file: tests/grading/cases, on which the rule was developed, by kind. With a FILE.jsonl: its lines have gold,
response, kind ("auto": inferred), label and topic, and maybe choices; icpo extracts the answer from the response.
math-verify gets the gold answer between dollars, because it expects LaTeX, and the answer both as it is and between
dollars.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from math_verify import parse, verify

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, Verdict

CASES = Path(__file__).parents[2] / "tests" / "grading" / "cases"


class Graded(NamedTuple):
    """One pair: its label, and who accepts the answer."""

    label: bool
    icpo: bool
    math_verify: bool


def main() -> None:
    parser = argparse.ArgumentParser(description="icpo next to math-verify on labelled pairs.")
    parser.add_argument("file", nargs="?", type=Path, help="labelled pairs, JSON lines; default: tests/grading/cases")
    options = parser.parse_args()
    if options.file is None:
        rows = [row | {"topic": kind.value} for kind in AnswerKind for row in _rows(CASES / f"{kind}.jsonl")]
    else:
        rows = _rows(options.file)
    with Verifier(RewardConfig()) as verifier:
        verdicts = verifier.verify([_answer(row) for row in rows], Grading("auto" if options.file else "none"))
    topics: dict[str, list[Graded]] = defaultdict(list)
    for row, verdict in zip(rows, verdicts, strict=True):
        label = row.get("label", row.get("correct"))
        topics[row["topic"]].append(Graded(label, verdict.correct, _math_verify(row)))
    width = max(map(len, topics))
    print(f"{'':{width}} {'correct':>8} {'icpo':>7} {'math-verify':>12}   {'other':>6} {'icpo':>7} {'math-verify':>12}")
    for topic, graded in sorted(topics.items()):
        _print(topic, graded, width)
    _print("all", [pair for graded in topics.values() for pair in graded], width)
    _print_undecided(verdicts)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _answer(row: dict[str, Any]) -> Answer:
    kind = None if row["kind"] == "auto" else AnswerKind(row["kind"])
    gold = Gold(row["gold"], kind, tuple(row.get("choices") or ()), tuple(row.get("aliases") or ()), row.get("ordered"))
    return Answer(_text(row), gold)


def _text(row: dict[str, Any]) -> str:
    return str(row["response"] if "response" in row else row["answer"])


def _math_verify(row: dict[str, Any]) -> bool:
    gold = parse(f"${row['gold']}$")
    return any(verify(gold, parse(text)) for text in (_text(row), f"${_text(row)}$"))


def _print(name: str, graded: Sequence[Graded], width: int) -> None:
    """Print the shares of correct answers accepted and of other answers rejected."""
    line = f"{name:{width}}"
    for label in (True, False):
        pairs = [pair for pair in graded if pair.label is label]
        line += f" {len(pairs):>{8 if label else 6}}"
        for column, of in (("icpo", 7), ("math_verify", 12)):
            right = sum(getattr(pair, column) is label for pair in pairs)
            line += f" {right / len(pairs):{of}.1%}" if pairs else " " + "-".rjust(of)
        line += "  "
    print(line.rstrip())


def _print_undecided(verdicts: Sequence[Verdict]) -> None:
    undecided = [verdict.kind.value for verdict in verdicts if not verdict.decided]
    print(f"undecided by icpo: {len(undecided)}")


if __name__ == "__main__":
    main()
