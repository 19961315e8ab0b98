"""Background grading: the verdicts are those of direct grading, whatever batches they were given in."""

from collections.abc import Sequence

import pytest

from icpo_cli.config.schema import RewardConfig, SandboxConfig
from icpo_cli.grading.background import BATCH, BackgroundGrader
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Gold, Verdict

CONFIG = RewardConfig(sandbox=SandboxConfig(workers=1))
TAGGED, WHOLE = Grading(), Grading(extract="none")
ANSWERS = {n: [Answer(f"<answer>{n + g}</answer>", Gold(str(n + 1))) for g in range(3)] for n in range(BATCH)}


def test_verdicts_come_back_with_their_tags() -> None:
    """Three batches and a rest, under two gradings."""
    with Verifier(CONFIG) as verifier:
        with BackgroundGrader[int](verifier) as grader:
            for number in reversed(ANSWERS):
                grader.submit(number, ANSWERS[number], WHOLE if number == 3 else TAGGED)
            early = grader.ready()
            graded = dict(early + grader.rest())
            assert grader.ready() == grader.rest() == []
        assert graded == {
            number: verifier.verify(answers, WHOLE if number == 3 else TAGGED) for number, answers in ANSWERS.items()
        }
    assert [verdict.correct for verdict in graded[5]] == [False, True, False]


class Broken(Verifier):
    def verify(self, answers: Sequence[Answer], grading: Grading) -> list[Verdict]:
        raise RuntimeError("the grader broke")


def test_a_failure_is_raised_where_verdicts_are_asked_for() -> None:
    with Broken(CONFIG) as verifier, BackgroundGrader[int](verifier) as grader:
        grader.submit(0, ANSWERS[0], TAGGED)
        with pytest.raises(RuntimeError, match="the grader broke"):
            grader.rest()
