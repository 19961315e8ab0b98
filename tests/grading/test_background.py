"""Groups are graded while others are sampled: what comes back, and in which order, is as if they were not."""

from collections.abc import Sequence

import pytest

from icpo_cli.config.schema import RewardConfig, SandboxConfig
from icpo_cli.grading.background import BATCH, BackgroundVerdicts, verdicts_of
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Gold, Group, Prompt, Response, Verdict

CONFIG = RewardConfig(sandbox=SandboxConfig(workers=1))


def group(place: int) -> Group:
    texts = [f"<answer>{place + g}</answer>" for g in range(3)]
    responses = tuple(Response(text, (1,), (-0.1,), "stop") for text in texts)
    return Group(Prompt(str(place), "?", Gold(str(place + 1)), (1,)), responses)


def test_verdicts_are_those_of_one_batch_in_the_order_of_the_places() -> None:
    groups = [group(place) for place in range(2 * BATCH + 3)]
    with Verifier(CONFIG) as verifier:
        with BackgroundVerdicts(verifier, CONFIG, group_size=2) as beside:
            for place in reversed(range(len(groups))):  # the last one sampled first
                beside.take(place, groups[place])
            verdicts = beside.rest()
        assert verdicts == verdicts_of([each.first(2) for each in groups], verifier, CONFIG)
    assert [verdict.correct for verdict in verdicts[5]] == [False, True]


class Broken(Verifier):
    def verify(self, answers: Sequence[Answer], grading: Grading) -> list[Verdict]:
        raise RuntimeError("the grader broke")


def test_a_failure_is_raised_where_verdicts_are_asked_for() -> None:
    with Broken(CONFIG) as verifier, BackgroundVerdicts(verifier, CONFIG, 3) as beside:
        beside.take(0, group(0))
        with pytest.raises(RuntimeError, match="the grader broke"):
            beside.rest()
