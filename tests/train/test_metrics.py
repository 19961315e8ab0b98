"""Shares of groups, counted by hand, and the table that they are taken from."""

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.records import AnswerKind, Gold, Prompt
from icpo_cli.train.metrics import response_metrics
from tests.train.tables import Graded, table_of


def graded(*verdicts: str) -> list[Graded]:
    return [Graded(Prompt(f"p{n}", f"q{n}", Gold("7"), (1, n)), each) for n, each in enumerate(verdicts)]


def shares(method: str, verdicts: tuple[str, ...], *settings: str) -> dict[str, float]:
    config = load_config([f"method={method}", "data.train.task=x", *settings])
    metrics = response_metrics(table_of(graded(*verdicts), config), len(verdicts[0]), 1.0)
    return {name.removeprefix("groups/"): value for name, value in metrics.items() if name.startswith("groups/")}


GROUPS = ("+++", "---", "-0-", "+-+", "+0+", "--t", "+e+", "ttt")
"""Uniform: the first three, for an answer that is missing is not right. Undecided: the last three."""


@pytest.mark.parametrize("method", ["grpo", "icpo"])
def test_groups_uniform_in_verdicts_are_the_coarse_selections(method: str) -> None:
    found = shares(method, GROUPS)
    assert (found["uniform_verdict_share"], found["undecided_share"]) == (3 / 8, 3 / 8)


def test_grpo_has_no_advantage_where_the_group_is_uniform_and_icpo_has() -> None:
    """Undecided groups have none under either."""
    grpo, icpo = shares("grpo", GROUPS), shares("icpo", GROUPS)
    assert (grpo["zero_advantage_share"], icpo["zero_advantage_share"]) == (6 / 8, 3 / 8)
    assert (grpo["uniform_final_share"], icpo["uniform_final_share"]) == (
        5 / 8,
        0,
    )  # a timeout earns what a wrong one does


def test_without_a_reward_icpo_has_no_advantage_either() -> None:
    """R = 0 caps the bonus at 0: wrong answers without form, or without a reward for it."""
    found = shares("icpo", ("+++", "---"), "reward.format_weight=0")
    assert (found["uniform_verdict_share"], found["zero_advantage_share"]) == (1, 0.5)


def test_the_table_tells_what_a_question_is_graded_by() -> None:
    config = load_config(["data.train.task=x"])
    letter = Prompt("a", "which?", Gold("B", AnswerKind.LETTER, ("red", "blue")), (1,))
    rows = table_of([Graded(letter, "+-"), *graded("--")], config)
    assert [
        (row["prompt_id"], row["question"], row["gold"], row["gold_kind"], row["gold_choices"]) for row in rows
    ] == [
        *[("a", "which?", "B", "letter", ["red", "blue"])] * 2,
        *[("p0", "q0", "7", None, [])] * 2,
    ]
    assert [(row["response"], row["verdict"]) for row in rows[:2]] == [(1, "correct"), (2, "wrong")]
