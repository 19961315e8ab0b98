"""Every gold answer of the available benchmarks: equal to itself, and not to another question's."""

import json
import random
from collections.abc import Sequence

import pytest

from icpo_cli.data.benchmarks import BENCHMARKS, load_benchmark
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, Question
from tests.grading.corpus import SHARED, fail_with

pytestmark = pytest.mark.skipif(not (SHARED / "math500.jsonl").is_file(), reason="the benchmarks' data is not at hand")

COUNTS = {"math500": 500, "minerva": 272, "aime24": 30, "theoremqa": 747, "mmlu_pro": 1000, "scibench": 580}
UNUSABLE: dict[str, str] = {}
"""Unusable golds by id, and why."""
NOT_RIGHT: dict[str, str] = {}
"""Golds by id that are not equal to themselves in another form, and why."""
NOT_WRONG: dict[tuple[str, str], str] = {
    ("math500/test/algebra/1837.json", "math500/test/algebra/2193.json"): "5 and x=5",
}
"""Pairs of questions whose golds are the same answer in different texts, and why."""
FAR_APART = 0.05
"""Relative difference at which two numbers are different under every rule."""


def questions_of(name: str) -> list[Question]:
    if name in BENCHMARKS:
        return list(load_benchmark(name, SHARED).questions)
    rows = [json.loads(line) for line in (SHARED / "scibench_freeform.jsonl").read_text().splitlines()]
    return [Question(row["id"], row["question"], Gold(row["answer"])) for row in rows]


def grading_of(name: str, extract: str | None = None) -> Grading:
    benchmark = BENCHMARKS.get(name)
    return Grading(extract or (benchmark.extract if benchmark else "auto"), benchmark.rule if benchmark else "strict")


@pytest.fixture(scope="module", params=list(COUNTS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def questions(name: str) -> list[Question]:
    return questions_of(name)


def test_all_are_there(name: str, questions: list[Question]) -> None:
    assert len(questions) == COUNTS[name]


def test_every_gold_can_be_compared_with(questions: list[Question], verifier: Verifier) -> None:
    problems = verifier.check_golds([question.gold for question in questions])
    failures = [
        f"{question.id}: gold {question.gold.answer!r} ({question.gold.kind}): {problem}"
        for question, problem in zip(questions, problems, strict=True)
        if problem is not None and question.id not in UNUSABLE
    ]
    fail_with(failures, len(questions))


def test_every_gold_is_right_against_itself(name: str, questions: list[Question], verifier: Verifier) -> None:
    """The gold's text, and the forms in which models write it."""
    forms = {
        "none": "{}",
        "boxed": r"So it is \boxed{{{}}}.",
        "answer_tag": "<think>It must be.</think> <answer> {} </answer>",
        "auto": "Step by step.\n\nThe final answer is: $\\boxed{{{}}}$. I hope it is correct.",
    }
    failures = []
    for extract, form in forms.items():
        answers = [Answer(form.format(question.gold.answer), question.gold) for question in questions]
        for question, verdict in zip(questions, verifier.verify(answers, grading_of(name, extract)), strict=True):
            if not verdict.correct and question.id not in UNUSABLE | NOT_RIGHT:
                failures.append(f"{question.id}: {extract}: {verdict}")
    fail_with(failures, len(questions))


def test_every_gold_is_right_against_another_spelling_of_itself(
    name: str, questions: list[Question], verifier: Verifier
) -> None:
    """Add dollar signs and a full stop, so that the texts are not identical."""
    answers = [Answer(respelled(question.gold), question.gold) for question in questions]
    failures = [
        f"{question.id}: gold {question.gold.answer!r}: {verdict}"
        for question, verdict in zip(questions, verifier.verify(answers, grading_of(name, "none")), strict=True)
        if not verdict.correct and question.id not in UNUSABLE | NOT_RIGHT
    ]
    fail_with(failures, len(questions))


@pytest.mark.parametrize("rule", ["rlpr", "theoremqa"])
def test_every_gold_is_right_against_itself_by_the_published_rules(
    rule: str, questions: list[Question], verifier: Verifier
) -> None:
    answers = [Answer(rf"\boxed{{{respelled(question.gold)}}}", question.gold) for question in questions]
    failures = [
        f"{question.id}: gold {question.gold.answer!r}: {verdict}"
        for question, verdict in zip(questions, verifier.verify(answers, Grading("boxed", rule)), strict=True)
        if not verdict.correct and question.id not in UNUSABLE | NOT_RIGHT
    ]
    fail_with(failures, len(questions))


def test_no_gold_is_right_against_another_questions(name: str, questions: list[Question], verifier: Verifier) -> None:
    """Pair each gold with the next question's and a random one, of the same kind if possible."""
    pairs = [pair for pair in pairs_of(questions) if (pair[0].id, pair[1].id) not in NOT_WRONG]
    answers = [Answer(other.gold.answer, question.gold) for question, other in pairs]
    failures = [
        f"{question.id}: gold {question.gold.answer!r}, answer of {other.id}: {verdict}"
        for (question, other), verdict in zip(pairs, verifier.verify(answers, grading_of(name, "none")), strict=True)
        if verdict.correct or not verdict.decided
    ]
    fail_with(failures, len(pairs))


def respelled(gold: Gold) -> str:
    if gold.kind in (AnswerKind.LETTER, AnswerKind.BOOL, AnswerKind.TEXT) or "$" in gold.answer:
        return f"{gold.answer}."
    return f"${gold.answer}$."


def pairs_of(questions: Sequence[Question]) -> list[tuple[Question, Question]]:
    """Pair each question with others whose gold has a different value."""
    draw = random.Random(0)
    pairs = []
    for place, question in enumerate(questions):
        others = [*questions[place + 1 :], *questions[:place]]
        alike = [q for q in others if q.gold.kind is question.gold.kind and differ(q.gold, question.gold)]
        if alike:
            pairs += [(question, alike[0]), (question, draw.choice(alike))]
    return pairs


def differ(left: Gold, right: Gold) -> bool:
    a, b = (plain(gold.answer) for gold in (left, right))
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a != b
    return abs(x - y) > FAR_APART * max(abs(x), abs(y)) and round(x) != round(y)


def plain(text: str) -> str:
    for layout in (" ", "$", ",", r"\!", r"\left", r"\right", r"\text"):
        text = text.replace(layout, "")
    return text.lower()
