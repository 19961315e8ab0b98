"""Extraction of the final answer, whether or not it is right."""

import pytest

from icpo_cli.grading.extraction import EXTRACTORS, every_box
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, VerdictKind
from tests.grading.corpus import fail_with, rows_of

MEGABYTE = 1_000_000


def test_every_case_is_extracted_as_labelled() -> None:
    rows = rows_of("extraction")
    wrong = []
    for place, row in rows:
        found = EXTRACTORS[row["extract"]](row["response"])
        if found != row["extracted"]:
            wrong.append(
                f"{place}: {row['extract']} of {row['response']!r}: {found!r}; "
                f"should be {row['extracted']!r}: {row['why']}"
            )
    fail_with(wrong, len(rows))


def test_the_cases_cover_every_extractor_with_and_without_an_answer() -> None:
    rows = [row for _, row in rows_of("extraction")]
    for name in EXTRACTORS.keys() - {"none"}:
        found = [row["extracted"] is not None for row in rows if row["extract"] == name]
        assert any(found) and not all(found), name


@pytest.mark.parametrize("extract", list(EXTRACTORS))
@pytest.mark.parametrize("response", ["", " \n\t "])
def test_nothing_is_no_answer(extract: str, response: str) -> None:
    assert EXTRACTORS[extract](response) is None


@pytest.mark.parametrize("extract", ["answer_tag", "boxed", "letter"])
def test_no_final_answer_is_a_verdict_of_its_own(extract: str, verifier: Verifier) -> None:
    answers = [Answer("I would have to think about that.", Gold(gold)) for gold in ("7", "that", "A")]
    for verdict in verifier.verify(answers, Grading(extract)):
        assert (verdict.kind, verdict.extracted) == (VerdictKind.NO_ANSWER, None)


@pytest.mark.parametrize("extract", ["answer_tag", "boxed", "letter"])
def test_a_question_without_a_gold_answer_is_a_verdict_of_its_own(extract: str, verifier: Verifier) -> None:
    [silent, said] = verifier.verify(
        [Answer("I would have to think.", Gold("")), Answer(r"<answer>\boxed{B}</answer>", Gold(""))], Grading(extract)
    )
    assert (silent.kind, silent.extracted) == (VerdictKind.NO_GOLD, None)
    assert (said.kind, said.extracted) == (VerdictKind.NO_GOLD, {"answer_tag": r"\boxed{B}"}.get(extract, "B"))


def test_an_answer_in_the_question_is_none_of_the_response(verifier: Verifier) -> None:
    question = r"An earlier part gave \boxed{7}. <answer>7</answer> The answer is 7. Now the next?"
    for extract in EXTRACTORS:
        [verdict] = verifier.verify([Answer("\n", Gold("7"), question)], Grading(extract))
        assert (verdict.kind, verdict.extracted) == (VerdictKind.NO_ANSWER, None), extract


def test_every_box_in_order_the_open_ones_left_out() -> None:
    assert every_box(r"\boxed{1} then \boxed{\frac{1}{2}}, \fbox{x} and \boxed{3") == ["1", r"\frac{1}{2}", "x"]


def test_a_letter_is_upper_case_and_one(verifier: Verifier) -> None:
    gold = Gold("B", AnswerKind.LETTER, ("one", "two", "three"))
    verdicts = verifier.verify([Answer(r"\boxed{b}", gold), Answer("Answer: (B)", gold)], Grading("letter"))
    assert [(verdict.kind, verdict.extracted) for verdict in verdicts] == [(VerdictKind.CORRECT, "B")] * 2


LONG = {
    "letters": "a" * MEGABYTE,
    "blanks": "x" + " " * MEGABYTE + "y",
    "blank answer": "<answer>" + " " * MEGABYTE + "</answer>",
    "blanks after the answer": "The answer is 7" + " " * MEGABYTE + "y",
    "lines": "line\n" * (MEGABYTE // 5),
    "empty lines": "x" + "\n" * MEGABYTE,
    "open tags": "<answer>" * (MEGABYTE // 8),
    "closed tags": "</answer>" * (MEGABYTE // 9),
    "tags": "<answer>7</answer>" * (MEGABYTE // 18),
    "open boxes": r"\boxed{" * (MEGABYTE // 7),
    "boxes": r"\boxed{7}" * (MEGABYTE // 9),
    "nested boxes": r"\boxed{" * (MEGABYTE // 8) + "}" * (MEGABYTE // 8),
    "bare boxes": r"\boxed " * (MEGABYTE // 7),
    "an open box": r"\boxed{" + "{" * MEGABYTE,
    "braces": "{" * (MEGABYTE // 2) + "}" * (MEGABYTE // 2),
    "hashes": "#" * MEGABYTE,
    "hashes apart": "# " * (MEGABYTE // 2),
    "stars": "*" * MEGABYTE,
    "dashes": "-" * MEGABYTE + "x",
    "answers": "the answer is 7. " * (MEGABYTE // 17),
    "answers that are none": "the answer is not " * (MEGABYTE // 18),
    "options": "option option " * (MEGABYTE // 14),
    "option letters": "answer (A) " * (MEGABYTE // 11),
    "answer words": "answer" * (MEGABYTE // 6),
    "final answers": "final correct right best answer result " * (MEGABYTE // 39),
    "brackets": "(" * MEGABYTE,
    "a bracketed letter": "(" + " " * MEGABYTE + "A",
    "marks": "!" * MEGABYTE,
    "full stops": "The answer is " + "." * MEGABYTE,
    "quotes": "The answer is: " + "\"'" * (MEGABYTE // 2),
    "markup": r"\text{\textbf{" * (MEGABYTE // 14),
    "display": r"The answer is \[" * (MEGABYTE // 16),
    "dollars": "The answer is $$" * (MEGABYTE // 16),
    "rules": "\\begin{x}" * (MEGABYTE // 9),
    "digits": "4" * MEGABYTE,
    "commas": "," * MEGABYTE,
    "closed brackets": ")" * MEGABYTE,
    "square brackets": "[" * MEGABYTE,
    "backslashes": "\\" * MEGABYTE,
    "special tokens": "<|" * (MEGABYTE // 2),
    "options stated": "So C " * (MEGABYTE // 5),
    "conclusions": "is the answer " * (MEGABYTE // 14),
    "sentences": "He has 5 coins. " * (MEGABYTE // 16),
    "boxes side by side": r"\boxed{2}, " * (MEGABYTE // 11),
    "Chinese": "答案是 " * (MEGABYTE // 4),
    "Japanese": "答えは" * (MEGABYTE // 3),
    "blank lines after the answer": "The answer is" + "\n" * MEGABYTE + "7",
}


@pytest.mark.parametrize("extract", [*EXTRACTORS, "every box"])
@pytest.mark.parametrize("response", list(LONG.values()), ids=list(LONG))
@pytest.mark.usefixtures("ended_if_it_hangs")
def test_a_megabyte_is_read_in_time_that_grows_with_its_length(extract: str, response: str) -> None:
    """Quadratic time would take hours."""
    found = every_box(response) if extract == "every box" else EXTRACTORS[extract](response)
    assert found is None or len(found) <= len(response)
