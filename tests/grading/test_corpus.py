"""Every labelled case through the verifier. A case found wrong later becomes another line in tests/grading/cases."""

from collections import Counter

import pytest

from icpo_cli.grading.verifier import Grading, Verifier
from icpo_cli.records import AnswerKind, Verdict, VerdictKind
from tests.grading.corpus import LabelledCase, cases_of, describe, fail_with

KINDS = [kind.value for kind in AnswerKind]


@pytest.fixture(scope="module", params=KINDS)
def graded(request: pytest.FixtureRequest, verifier: Verifier) -> list[tuple[LabelledCase, Verdict]]:
    cases = cases_of(request.param)
    verdicts = verifier.verify([case.graded for case in cases], Grading(extract="none"))
    return list(zip(cases, verdicts, strict=True))


def test_every_case_is_graded_as_labelled(graded: list[tuple[LabelledCase, Verdict]]) -> None:
    wrong = [
        describe(case, verdict)
        for case, verdict in graded
        # An undecided verdict is a failure on a wrong answer too.
        if verdict.correct is not case.correct or not verdict.decided
    ]
    fail_with(wrong, len(graded))


def test_a_verdict_says_what_was_graded_and_why(graded: list[tuple[LabelledCase, Verdict]]) -> None:
    for case, verdict in graded:
        assert verdict.rule and verdict.reason, case.place
        if verdict.kind is not VerdictKind.NO_ANSWER:
            assert verdict.extracted == case.answer.strip(), case.place


def test_the_corpus_is_large_over_all_kinds_and_mostly_negative() -> None:
    kinds = {name: cases_of(name) for name in KINDS}
    cases = [case for each in kinds.values() for case in each]
    assert len(cases) >= 400
    assert sum(not case.correct for case in cases) * 2 >= len(cases)
    for name, each in kinds.items():
        assert len(each) >= 50, name
        assert sum(not case.correct for case in each) * 2 >= len(each), name
        assert all(case.gold.kind is AnswerKind(name) and case.why for case in each), name


def test_cases_are_unique() -> None:
    counts = Counter((case.gold, case.answer) for name in KINDS for case in cases_of(name))
    assert [pair for pair, count in counts.items() if count > 1] == []
