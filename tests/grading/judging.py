"""Helpers that tests of the judge share."""

from collections.abc import Callable

from icpo_cli.grading.judge.judge import Case, OpenAIJudge
from icpo_cli.records import VerdictKind
from tests.grading.faulty_server import says

CORRECT, WRONG, ERROR = VerdictKind.CORRECT, VerdictKind.WRONG, VerdictKind.ERROR
DENIES = says("Another value.\nVerdict: WRONG")
JudgeOf = Callable[..., OpenAIJudge]


def case(name: str) -> Case:
    return Case(f"What is {name}?", "one half", f"answer-{name}")


def kinds(judge: OpenAIJudge, *names: str) -> list[VerdictKind]:
    return [verdict.kind for verdict in judge.judge([case(name) for name in names])]
