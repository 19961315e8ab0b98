"""The coarse selection keeps the prompts whose group was uniform, and says why each other went."""

import random

from icpo_cli.records import UNDECIDED, VerdictKind
from icpo_cli.rewards.coarse import select_uniform

RIGHT, WRONG, NONE = VerdictKind.CORRECT, VerdictKind.WRONG, VerdictKind.NO_ANSWER
TIMEOUT, ERROR = VerdictKind.TIMEOUT, VerdictKind.ERROR


def test_each_prompt_with_its_reason() -> None:
    selection = select_uniform(
        {
            "easy": [RIGHT] * 5,
            "hard": [WRONG] * 5,
            "mixed": [RIGHT, WRONG, WRONG, WRONG, WRONG],
            "nearly": [RIGHT, RIGHT, RIGHT, RIGHT, WRONG],
            "silent": [NONE] * 5,
            "hard or silent": [WRONG, NONE, WRONG, NONE, NONE],
            "right or silent": [RIGHT, NONE, RIGHT, RIGHT, RIGHT],
            "slow": [WRONG, WRONG, TIMEOUT, WRONG, WRONG],
            "broken": [RIGHT, RIGHT, RIGHT, RIGHT, ERROR],
            "mixed and slow": [RIGHT, WRONG, TIMEOUT, WRONG, WRONG],
        }
    )
    assert selection.kept == {
        "easy": "all_right",
        "hard": "all_wrong",
        "silent": "all_wrong",
        "hard or silent": "all_wrong",
    }
    assert selection.dropped == {
        "mixed": "mixed",
        "nearly": "mixed",
        "right or silent": "mixed",
        "slow": "undecided",
        "broken": "undecided",
        "mixed and slow": "undecided",
    }
    assert selection.counts == {"all_right": 1, "all_wrong": 3, "mixed": 3, "undecided": 3}


def test_every_prompt_is_kept_or_dropped_and_the_counts_add_up() -> None:
    draw = random.Random(0)
    probe = {f"p{n}": draw.choices(list(VerdictKind), weights=[4, 4, 1, 0.1, 0.1, 0.1], k=3) for n in range(500)}
    selection = select_uniform(probe)
    assert selection.kept.keys() | selection.dropped.keys() == probe.keys()
    assert not selection.kept.keys() & selection.dropped.keys()
    assert sum(selection.counts.values()) == 500
    for prompt in selection.kept:
        kinds = set(probe[prompt])
        assert not kinds & UNDECIDED
        assert kinds == {RIGHT} or RIGHT not in kinds


def test_the_order_of_prompts_is_the_probes() -> None:
    probe = {name: [RIGHT] for name in ("c", "a", "b")}
    assert list(select_uniform(probe).kept) == ["c", "a", "b"]


def test_nothing_probed_nothing_selected() -> None:
    selection = select_uniform({})
    assert (selection.kept, selection.dropped, selection.counts) == ({}, {}, {})
