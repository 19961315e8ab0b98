"""Verdicts of the verifier with its default settings, and which gold answers it calls unusable."""

import pytest

from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, VerdictKind


@pytest.mark.parametrize(
    ("answer", "gold", "kind"),
    [
        ("7", "7", VerdictKind.CORRECT),
        ("7.0", "7", VerdictKind.CORRECT),
        ("7.", "7", VerdictKind.CORRECT),
        ("1,234", "1234", VerdictKind.CORRECT),
        ("2.5e3", "2500", VerdictKind.CORRECT),
        ("-7", "7", VerdictKind.WRONG),
        ("77", "7", VerdictKind.WRONG),
        ("7 or 8", "7", VerdictKind.WRONG),
        ("12,34", "1234", VerdictKind.WRONG),
        ("٧", "7", VerdictKind.WRONG),  # a digit of another script
        ("nan", "7", VerdictKind.WRONG),
        ("Paris", " paris ", VerdictKind.CORRECT),
        ("9" * 100_000, "7", VerdictKind.WRONG),
        ("1e9999", "7", VerdictKind.WRONG),
    ],
)
def test_verdicts(answer: str, gold: str, kind: VerdictKind, verifier: Verifier) -> None:
    [verdict] = verifier.verify([Answer(f"<answer>{answer}</answer>", Gold(gold))], Grading())
    assert (verdict.kind, verdict.extracted) == (kind, answer)


def test_nothing_found_is_no_answer(verifier: Verifier) -> None:
    [verdict] = verifier.verify([Answer("seven", Gold("7"))], Grading())
    assert (verdict.kind, verdict.extracted) == (VerdictKind.NO_ANSWER, None)


def test_an_empty_batch_is_graded(verifier: Verifier) -> None:
    assert verifier.verify([], Grading()) == []
    assert verifier.check_golds([]) == []


def test_equal_answers_to_other_golds_have_verdicts_of_their_own(verifier: Verifier) -> None:
    golds = [Gold("7"), Gold("8"), Gold("7", AnswerKind.TEXT), Gold("0.7"), Gold("7")]
    verdicts = verifier.verify([Answer("<answer>7</answer>", gold) for gold in golds], Grading())
    assert [verdict.correct for verdict in verdicts] == [True, False, True, False, True]


def test_unusable_golds_are_named(verifier: Verifier) -> None:
    golds = {
        Gold("7"): None,
        Gold(r"\frac{1}{2}"): None,
        Gold("B", AnswerKind.LETTER, ("a", "b")): None,
        Gold("Yes", AnswerKind.BOOL): None,
        Gold("a red giant", AnswerKind.TEXT): None,
        Gold("[1, 2]", AnswerKind.LIST): None,
        Gold(" "): "is empty",
        Gold("4\x002"): "contains control characters",
        Gold("7" * 2001): "is longer than 2000 characters",
        Gold(r"\frac{1}{2"): "has unbalanced braces",
        Gold("C", AnswerKind.LETTER, ("a", "b")): "names none of the 2 options",
        Gold("perhaps", AnswerKind.BOOL): "is neither true nor false",
        Gold("a red giant", AnswerKind.NUMBER): "does not read as number",
        Gold(r"\frac{1}{", AnswerKind.MATH): "has unbalanced braces",
        Gold("= + =", AnswerKind.MATH): "does not read as math",
    }
    assert dict(zip(golds, verifier.check_golds(list(golds)), strict=True)) == golds
