"""Shares of groups, counted by hand, and the table that they are taken from; times and speeds."""

import pytest
import torch

from icpo_cli.config.load import load_config
from icpo_cli.device import peak_flops, peak_of_card
from icpo_cli.distributed import Ranks
from icpo_cli.records import AnswerKind, Gold, Prompt
from icpo_cli.train.metrics import machine_metrics, response_metrics, rollout_metrics
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


def test_the_end_of_a_rollout_in_which_devices_idle() -> None:
    """Two ranks and two rounds. Nine tenths of the first round's eleven groups are done at 10 s, the last at 30 s."""
    first = [[float(second) for second in range(1, 11)], [30.0]]
    second = [[5.0], [5.0]]
    found = rollout_metrics([[first[rank], second[rank]] for rank in range(2)])
    assert found == {"seconds/rollout_wait": 30 - (10 + 30) / 2, "seconds/rollout_tail": 20.0}
    assert rollout_metrics([[[1.0, 2.0]]])["seconds/rollout_wait"] == 0  # one rank waits for none


def test_speed_is_of_one_device_and_mfu_needs_a_known_peak() -> None:
    seconds = {"rollout": 6.0, "update": 4.0}
    ranks = Ranks(0, 2, 0, torch.device("cpu"))
    found = machine_metrics(seconds, 1000.0, 8e12, ranks, peak=4e12)
    assert (found["tokens_per_second/rollout"], found["tokens_per_second/device"]) == (1000 / 6, 50)
    assert found["mfu/update"] == 0.25
    assert "mfu/update" not in machine_metrics(seconds, 1000.0, 8e12, ranks)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA H20", 148e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_the_peak_of_a_card(card: str, peak: float | None) -> None:
    assert peak_of_card(card) == peak
    assert peak_flops(torch.device("cpu"), torch.bfloat16) is None
