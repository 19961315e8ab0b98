"""From groups of responses to rewards."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from icpo_cli.config.schema import NoiseConfig, OverlongConfig, RewardConfig
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import (
    AnswerKind,
    Gold,
    Group,
    Prompt,
    Response,
    Reward,
    RuleName,
    Verdict,
    VerdictKind,
    count_verdicts,
)
from icpo_cli.rewards.reward import is_well_formed, overlong_penalty
from icpo_cli.rng import SeedKey
from tests.rewards.rewarding import rewarded, rewards

GOOD = "<think> 3 + 4 = 7 </think> <answer> 7 </answer>"
RIGHT, WRONG = Verdict(VerdictKind.CORRECT, "7", RuleName.EXACT), Verdict(VerdictKind.WRONG, "8", RuleName.NUMBER)


def group(name: str, gold: Gold, *texts: str) -> Group:
    return Group(Prompt(name, f"Question {name}?", gold, ()), tuple(Response(t, (), (), "stop") for t in texts))


GROUPS = [
    group("sum", Gold("7"), GOOD, "<think>x</think><answer>8</answer>", "<answer>7.0</answer>", "seven"),
    group(
        "root",
        Gold(r"\sqrt{8}"),
        r"<think>x</think><answer>2\sqrt2</answer>",
        r"<answer>\boxed{4}</answer>",
        "",
        "<answer></answer>",
    ),
    group(
        "option",
        Gold("B", AnswerKind.LETTER, ("no", "yes")),
        "<answer>(B)</answer>",
        "<answer>yes</answer>",
        "B",
        "<answer>C</answer>",
    ),
]
"""Three prompts, four responses each."""


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(RewardConfig()) as made:
        yield made


@pytest.mark.parametrize(
    ("response", "with_think", "answer_only"),
    [
        (GOOD, True, True),
        ("\n" + GOOD + "\n", True, True),
        ("<answer>7</answer>", False, True),
        ("so it is <answer>7</answer>", False, True),
        (GOOD + " and more", False, False),
        ("well, " + GOOD, False, True),
        ("<think>a</think> so <answer>7</answer>", False, True),
        ("<think>a</think><think>b</think><answer>7</answer>", False, True),
        ("<answer>7</answer><think>a</think>", False, False),
        ("</think>a<think><answer>7</answer>", False, True),
        ("<think>a</think></answer>7<answer>", False, False),
        ("<think>a</think><answer>7", False, False),
        ("<answer>7</answer><answer>7</answer>", False, False),
        ("", False, False),
    ],
)
def test_format(response: str, with_think: bool, answer_only: bool) -> None:
    assert is_well_formed(response, think=True) is with_think
    assert is_well_formed(response, think=False) is answer_only


@pytest.mark.parametrize(
    ("response", "verdict", "verif"),
    [
        (GOOD, RIGHT, 1.0),
        ("<think>x</think><answer>8</answer>", WRONG, 0.1),
        ("<answer>7</answer>", RIGHT, 0.9),
        ("7", Verdict(VerdictKind.NO_ANSWER, None, RuleName.ANSWER_TAG), 0.0),
        (GOOD, Verdict(VerdictKind.TIMEOUT, "7", RuleName.DEADLINE), 0.1),
        (GOOD, Verdict(VerdictKind.ERROR, "7", RuleName.CRASH), 0.1),
    ],
)
def test_reward_weighs_answer_and_format(response: str, verdict: Verdict, verif: float) -> None:
    made = rewarded(response, verdict, True, RewardConfig())
    assert made.verif == pytest.approx(verif)
    assert made.verdict is verdict and made.noise == 0


def test_the_weights_are_settings() -> None:
    config = RewardConfig(answer_weight=2.0, format_weight=0.5)
    assert rewarded(GOOD, RIGHT, True, config).verif == 2.5
    assert rewarded(GOOD, WRONG, True, config).verif == 0.5


def test_groups_keep_their_shape_and_each_response_its_reward(verifier: Verifier) -> None:
    made = rewards(GROUPS, verifier, True, RewardConfig(), SeedKey(0, 1))
    assert [[reward.verif for reward in row] for row in made] == [
        pytest.approx([1.0, 0.1, 0.9, 0.0]),
        pytest.approx([1.0, 0.0, 0.0, 0.0]),
        pytest.approx([0.9, 0.9, 0.0, 0.0]),
    ]
    assert count_verdicts(reward.verdict for row in made for reward in row) == {
        "correct": 5,
        "wrong": 3,
        "no_answer": 4,
        "timeout": 0,
        "error": 0,
    }


def test_without_think_the_reasoning_may_stand_in_the_open(verifier: Verifier) -> None:
    [row] = rewards(GROUPS[:1], verifier, False, RewardConfig(), SeedKey(0, 1))
    assert [reward.format for reward in row] == [1.0, 1.0, 1.0, 0.0]


def test_where_the_answer_stands_is_a_setting(verifier: Verifier) -> None:
    def right(extract: Any) -> list[bool]:
        groups = [group("sum", Gold("7"), "<answer>7</answer>", r"\boxed{7}", "The answer is 7.", "7")]
        config = replace(RewardConfig(), extract=extract)
        return [reward.verdict.correct for reward in rewards(groups, verifier, True, config, SeedKey(0, 1))[0]]

    assert right("answer_tag") == [True, False, False, False]
    assert right("boxed") == [False, True, False, False]
    assert right("auto") == [True, True, True, True]


def test_noise_belongs_to_seed_iteration_prompt_and_response(verifier: Verifier) -> None:
    def noise(groups: list[Group], seed: int, iteration: int) -> dict[str, list[float]]:
        config = RewardConfig(noise=NoiseConfig(fraction=1.0))
        made: list[list[Reward]] = rewards(groups, verifier, True, config, SeedKey(seed, iteration))
        return {g.prompt.id: [reward.noise for reward in row] for g, row in zip(groups, made, strict=True)}

    many = [group(f"p{n}", Gold("7"), *[GOOD] * 4) for n in range(8)]
    drawn = noise(many, 0, 1)
    assert noise(many[::-1], 0, 1) == drawn, "the order of prompts, and so the number of ranks, must not matter"
    assert noise(many[:3], 0, 1) == {f"p{n}": drawn[f"p{n}"] for n in range(3)}
    assert noise(many, 1, 1) != drawn != noise(many, 0, 2)
    assert noise(many, 1, 0) != noise(many, 0, 1)


@pytest.mark.parametrize(("tokens", "penalty"), [(60, 0.0), (80, 0.0), (85, -0.125), (100, -0.5), (120, -0.5)])
def test_a_response_near_its_limit_is_punished_in_a_line(tokens: int, penalty: float) -> None:
    assert overlong_penalty(tokens, OverlongConfig(buffer_tokens=20, penalty=0.5), 100) == pytest.approx(penalty)
    assert overlong_penalty(tokens, OverlongConfig(), 100) == 0.0


def test_the_registry_is_read_without_torch() -> None:
    """The checks of a command read it, and importing torch takes seconds."""
    code = "import sys, icpo_cli.train.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
