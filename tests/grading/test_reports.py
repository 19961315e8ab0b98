"""Pairs of gold answer and response through the real verifier.

reports.jsonl was made from public bug reports of other graders; variants.jsonl has the same kinds of answers with other
letters, numbers and commands; responses.jsonl has sentences that state an answer, in ten languages.
"""

import pytest

from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, Verdict
from tests.grading.corpus import fail_with, rows_of

LEAST_RECALL, LEAST_SPECIFICITY = 0.99, 0.99
EXCEPTIONS = {
    ("31.0", r"\boxed{31\%}"): "a percent sign divides by 100: 345.0 is not 345%, whatever the question asks for",
}
"""Pairs that are graded against their label, and why. All others are graded as labelled."""


@pytest.fixture(scope="module")
def graded(verifier: Verifier) -> list[tuple[tuple[str, str], bool, Verdict]]:
    """(pair, label, verdict) of each pair."""
    rows = [row for name in ("reports", "variants", "responses") for _, row in rows_of(name)]
    golds = [
        Gold(row["gold"], None if row["kind"] == "auto" else AnswerKind(row["kind"]), tuple(row.get("choices", ())))
        for row in rows
    ]
    answers = [Answer(row["response"], gold) for row, gold in zip(rows, golds, strict=True)]
    verdicts = verifier.verify(answers, Grading("auto"))
    return [
        ((row["gold"], row["response"]), row["label"], verdict) for row, verdict in zip(rows, verdicts, strict=True)
    ]


def test_pairs_are_graded_as_labelled(graded: list[tuple[tuple[str, str], bool, Verdict]]) -> None:
    wrong = [
        f"{pair}: {verdict.kind} by {verdict.rule}, read as {verdict.extracted!r}; labelled {label}"
        for pair, label, verdict in graded
        if (verdict.correct is not label or not verdict.decided) and pair not in EXCEPTIONS
    ]
    fail_with(wrong, len(graded))


@pytest.mark.parametrize(("label", "least"), [(True, LEAST_RECALL), (False, LEAST_SPECIFICITY)])
def test_shares(label: bool, least: float, graded: list[tuple[tuple[str, str], bool, Verdict]]) -> None:
    """The exceptions count as errors here."""
    of_label = [verdict.correct is label for _, stated, verdict in graded if stated is label]
    assert sum(of_label) >= least * len(of_label)
