"""The rules of RLPR and TheoremQA, which allow comparison with published numbers."""

import pytest

from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, VerdictKind

LETTERS = ("copper", "aluminium", "silver", "iron")


def right(verifier: Verifier, rule: str, gold: Gold, response: str, extract: str = "auto") -> bool:
    [verdict] = verifier.verify([Answer(response, gold)], Grading(extract, rule))
    assert verdict.decided, verdict
    return verdict.correct


@pytest.mark.parametrize("first", ["A", "B"])
def test_rlpr_takes_any_box_where_strict_takes_the_last(first: str, verifier: Verifier) -> None:
    second = {"A": "B", "B": "A"}[first]
    response = rf"It could be \boxed{{{first}}}, or rather \boxed{{{second}}}."
    golds = {letter: Gold(letter, AnswerKind.LETTER, LETTERS) for letter in "ABC"}
    assert [right(verifier, "rlpr", golds[letter], response) for letter in "ABC"] == [True, True, False]
    assert {letter for letter in "ABC" if right(verifier, "strict", golds[letter], response)} == {second}


@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{12} and so \boxed{13}",
        "<answer>12</answer> no: <answer>13</answer>",
        r"<answer>12</answer> or \boxed{13}",
        r"\boxed{12}. The answer is 13.",
    ],
)
def test_rlpr_takes_any_answer_in_a_box_or_tag(response: str, verifier: Verifier) -> None:
    for gold in ("12", "13"):
        assert right(verifier, "rlpr", Gold(gold), response)
    assert not right(verifier, "rlpr", Gold("14"), response)


@pytest.mark.parametrize(
    ("gold", "answer", "rlpr", "strict"),
    [
        ("0.35", "35", True, False),
        ("0.35", r"35\%", True, True),
        ("35", "0.35", True, False),
        ("35", "3500", True, False),
        ("35", "350", False, False),
        ("35", "-35", False, False),
        ("100", "100.005", True, False),  # 5e-5
        ("100", "100.05", False, False),
        ("1000000", "1000090", True, False),
        (r"2\pi", "6.28", True, None),
        (r"\frac{1}{2}", "50", True, False),
        (r"x^2+2x+1", "(x+1)^2", True, True),
        (r"x^2+2x+1", "(x-1)^2", False, False),
        ("blue", "Blue.", True, True),
        ("blue", "red", False, False),
    ],
)
def test_rlprs_tolerance(gold: str, answer: str, rlpr: bool, strict: bool | None, verifier: Verifier) -> None:
    response = rf"\boxed{{{answer}}}"
    assert right(verifier, "rlpr", Gold(gold), response) is rlpr
    if strict is not None:
        assert right(verifier, "strict", Gold(gold), response) is strict


def test_rlpr_takes_an_options_text(verifier: Verifier) -> None:
    gold = Gold("C", AnswerKind.LETTER, LETTERS)
    assert right(verifier, "rlpr", gold, r"\boxed{silver}")
    assert not right(verifier, "rlpr", gold, r"\boxed{iron}")


def test_rlpr_finds_nothing_in_a_response_without_an_answer(verifier: Verifier) -> None:
    for response in ("", " \n", r"\boxed{}", "<answer></answer>"):
        [verdict] = verifier.verify([Answer(response, Gold("7"))], Grading("auto", "rlpr"))
        assert not verdict.correct
    [verdict] = verifier.verify([Answer("", Gold("7"))], Grading("auto", "rlpr"))
    assert (verdict.kind, verdict.extracted) == (VerdictKind.NO_ANSWER, None)


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("1.42", "1.42", True),
        ("1.42", "1.47", True),  # 3.5 %
        ("1.42", "1.37", True),
        ("1.42", "1.48", False),  # 4.2 %
        ("1.42", "1.36", False),
        ("-1.42", "-1.40", True),
        ("-1.42", "1.42", False),
        ("0.333", r"\frac{1}{3}", True),
        ("0.0", "0", True),
        ("0.0", "0.0", True),
        ("0.0", "0.0001", False),  # 4 % of nothing is nothing
        ("0.5", r"50\%", True),
        ("3.14", r"\pi", True),
        ("1.42", "about right", False),
        ("1e3", "1030", True),
    ],
)
def test_theoremqas_floats_are_within_4_percent(gold: str, answer: str, correct: bool, verifier: Verifier) -> None:
    assert right(verifier, "theoremqa", Gold(gold, AnswerKind.NUMBER), rf"\boxed{{{answer}}}") is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("12", "12", True),
        ("12", "12.3", True),
        ("12", "11.6", True),
        ("12", "12.7", False),
        ("12", "13", False),
        ("0", "0.3", True),
        ("0", "0.7", False),
        ("-3", "-3.2", True),
        ("-3", "3", False),
        ("1000", "1030", False),  # no tolerance for whole golds
    ],
)
def test_theoremqas_integers_are_rounded(gold: str, answer: str, correct: bool, verifier: Verifier) -> None:
    assert right(verifier, "theoremqa", Gold(gold, AnswerKind.NUMBER), rf"\boxed{{{answer}}}") is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("[1, 2, 3]", "[3, 2, 1]", True),
        ("[1, 2, 3]", "(1, 2, 3)", True),
        ("[1, 2, 3]", "[1, 2]", False),
        ("[1, 2, 3]", "[1, 2, 3, 4]", False),
        ("[1, 2, 3]", "[1, 2, 4]", False),
        ("[0.5, 1.42]", "[1.4, 0.51]", True),
        ("[0.5, 1.42]", "[1.42, 0.53]", False),
        ("[1, 2, 3]", "2", False),
    ],
)
def test_theoremqas_lists_are_sorted(gold: str, answer: str, correct: bool, verifier: Verifier) -> None:
    assert right(verifier, "theoremqa", Gold(gold, AnswerKind.LIST), rf"\boxed{{{answer}}}") is correct


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        (Gold("True", AnswerKind.BOOL), "Yes", True),
        (Gold("True", AnswerKind.BOOL), "False", False),
        (Gold("False", AnswerKind.BOOL), "no", True),
        (Gold("False", AnswerKind.BOOL), "normal", False),  # the official extraction's slip is not copied
        (Gold("B", AnswerKind.LETTER), "(b)", True),
        (Gold("B", AnswerKind.LETTER), "(c)", False),
        (Gold("B", AnswerKind.LETTER), "both", False),
    ],
)
def test_theoremqas_words(gold: Gold, answer: str, correct: bool, verifier: Verifier) -> None:
    assert right(verifier, "theoremqa", gold, rf"\boxed{{{answer}}}") is correct


def test_strict_keeps_to_its_own_tolerance_where_theoremqa_does_not(verifier: Verifier) -> None:
    for answer in ("1.47", "1.37"):
        gold = Gold("1.42", AnswerKind.NUMBER)
        assert right(verifier, "theoremqa", gold, rf"\boxed{{{answer}}}")
        assert not right(verifier, "strict", gold, rf"\boxed{{{answer}}}")
