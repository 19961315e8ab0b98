"""Noise is drawn by hash: as often as asked, the same for equal seeds, whatever the arm."""

import math
from collections import Counter
from typing import Any

import pytest

from icpo_cli.config.schema import NoiseConfig, RewardConfig
from icpo_cli.records import RuleName, Verdict, VerdictKind
from icpo_cli.rewards.reward import coin_of, draws_of, noise_of, rewarded_as_correct
from icpo_cli.rng import SeedKey
from tests.rewards.rewarding import rewarded

PAPER = NoiseConfig(fraction=0.4, magnitude=0.3)
WELL_FORMED = "<think> 3 + 4 = 7 </think> <answer> 7 </answer>"
KEYS = [SeedKey(3, iteration, f"prompt-{p}", g) for iteration in (1, 2) for p in range(2000) for g in range(5)]
"""Seed, iteration, prompt, response: two iterations of 2,000 groups of 5."""


def expected(count: int, of: int, rate: float) -> bool:
    """Within 4 standard deviations of a binomial draw: one seed in 16,000 is outside, and these are fixed."""
    return abs(count - of * rate) <= 4 * math.sqrt(of * rate * (1 - rate))


@pytest.mark.parametrize("fraction", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("magnitude", [0.3, 1.5])
def test_the_fraction_is_moved_by_the_magnitude_up_and_down_alike(fraction: float, magnitude: float) -> None:
    counts = Counter(noise_of(NoiseConfig(fraction, magnitude), key) for key in KEYS)
    assert counts.keys() == {0.0, magnitude, -magnitude}
    moved = counts[magnitude] + counts[-magnitude]
    assert expected(moved, len(KEYS), fraction)
    assert expected(counts[magnitude], moved, 0.5)


def test_all_or_nothing() -> None:
    assert {noise_of(NoiseConfig(0.0), key) for key in KEYS} == {0.0}
    assert {noise_of(NoiseConfig(1.0), key) for key in KEYS} == {0.3, -0.3}


@pytest.mark.parametrize(("field", "changed"), [("seed", 4), ("iteration", 3), ("prompt", "{}-again"), ("response", 5)])
def test_each_field_of_the_key_makes_a_draw_of_its_own(field: str, changed: int | str) -> None:
    """Two draws agree as often as independent ones do."""
    rate = sum(share**2 for share in (0.6, 0.2, 0.2))
    keys = [key for key in KEYS if key.iteration == 1]
    others = [_changed(key, field, changed) for key in keys]
    agree = sum(noise_of(PAPER, one) == noise_of(PAPER, other) for one, other in zip(keys, others, strict=True))
    assert expected(agree, len(keys), rate)


def _changed(key: SeedKey, field: str, value: Any) -> SeedKey:
    """A response gets an index that no group of 5 holds; a prompt another name."""
    if field == "response":
        return key._replace(response=key.response + value)
    change: dict[str, Any] = {field: value.format(key.prompt) if isinstance(value, str) else value}
    return key._replace(**change)


def test_within_a_group_draws_are_independent() -> None:
    """Groups of 5 without any noise are as many as 0.6 ** 5 says."""
    quiet = sum(all(noise_of(PAPER, SeedKey(0, 1, str(prompt), n)) == 0 for n in range(5)) for prompt in range(5000))
    assert expected(quiet, 5000, 0.6**5)


def test_equal_seeds_see_equal_noise_whatever_else_an_arm_changes() -> None:
    def drawn(config: RewardConfig, kind: VerdictKind) -> list[float]:
        verdict = Verdict(kind, "7", RuleName.EXACT)
        return [rewarded(WELL_FORMED, verdict, True, config, key).noise for key in KEYS[:500]]

    arm = drawn(RewardConfig(noise=PAPER), VerdictKind.CORRECT)
    other = RewardConfig(answer_weight=1.0, format_weight=0.0, extract="auto", rule="rlpr", noise=PAPER)
    assert drawn(other, VerdictKind.WRONG) == arm
    assert len(set(arm)) == 3


def test_a_larger_fraction_moves_what_a_smaller_one_moved_and_more() -> None:
    """So that arms of a noise study differ in the added responses alone."""
    for key in KEYS[:2000]:
        few, many = noise_of(NoiseConfig(0.2), key), noise_of(NoiseConfig(0.6), key)
        assert few in (0.0, many)


@pytest.mark.parametrize(("false_positive", "false_negative"), [(0.1, 0.3), (0.3, 0.1), (0.0, 0.2), (0.2, 0.0)])
def test_verdicts_are_turned_over_at_their_own_rates(false_positive: float, false_negative: float) -> None:
    config = NoiseConfig(false_positive=false_positive, false_negative=false_negative)
    taken = sum(rewarded_as_correct(False, config, key) for key in KEYS)
    missed = sum(not rewarded_as_correct(True, config, key) for key in KEYS)
    assert expected(taken, len(KEYS), false_positive)
    assert expected(missed, len(KEYS), false_negative)


def test_flips_do_not_come_with_the_noise() -> None:
    """A response whose reward is moved is turned over no more often than another."""
    config = NoiseConfig(fraction=0.4, false_negative=0.3)
    moved = [key for key in KEYS if noise_of(config, key) != 0]
    assert expected(sum(not rewarded_as_correct(True, config, key) for key in moved), len(moved), 0.3)


def test_a_flip_changes_the_reward_and_not_the_verdict() -> None:
    config = RewardConfig(noise=NoiseConfig(false_positive=1.0, false_negative=1.0))
    right = rewarded(WELL_FORMED, Verdict(VerdictKind.CORRECT, "7", RuleName.EXACT), True, config)
    wrong = rewarded(WELL_FORMED, Verdict(VerdictKind.WRONG, "7", RuleName.EXACT), True, config)
    assert (right.verdict.kind, right.answer) == (VerdictKind.CORRECT, 0.0)
    assert (wrong.verdict.kind, wrong.answer) == (VerdictKind.WRONG, 1.0)


@pytest.mark.parametrize(
    ("response", "kind", "without_noise"),
    [
        (WELL_FORMED, VerdictKind.CORRECT, 1.0),
        (WELL_FORMED, VerdictKind.WRONG, 0.1),
        ("<answer>7</answer>", VerdictKind.CORRECT, 0.9),
        ("7", VerdictKind.NO_ANSWER, 0.0),
    ],
)
def test_noise_is_added_to_the_weighted_sum(response: str, kind: VerdictKind, without_noise: float) -> None:
    """0.9 answer + 0.1 format, then up or down by 0.3."""
    config, verdict = RewardConfig(noise=NoiseConfig(fraction=1.0)), Verdict(kind, "7", RuleName.EXACT)
    rewards = [rewarded(response, verdict, True, config, key) for key in KEYS[:50]]
    assert {round(reward.verif, 9) for reward in rewards} == {round(without_noise + n, 9) for n in (0.3, -0.3)}
    for reward in rewards:
        assert reward.verif == pytest.approx(0.9 * reward.answer + 0.1 * reward.format + reward.noise)


def test_a_coin_in_the_verdicts_stead_is_fair_and_knows_nothing_of_it() -> None:
    config = RewardConfig(control="random", noise=NoiseConfig(false_positive=1.0, false_negative=1.0))
    for kind, extracted in ((VerdictKind.CORRECT, "7"), (VerdictKind.WRONG, "8"), (VerdictKind.NO_ANSWER, None)):
        verdict = Verdict(kind, extracted, RuleName.EXACT)
        rewards = [rewarded(WELL_FORMED, verdict, True, config, key) for key in KEYS]
        assert {reward.verdict.kind for reward in rewards} == {kind}
        assert [reward.answer for reward in rewards] == [float(coin_of(key)) for key in KEYS]
        assert {reward.verif for reward in rewards} == {1.0, 0.1}
    assert expected(sum(coin_of(key) for key in KEYS), len(KEYS), 0.5)
    moved = [key for key in KEYS if noise_of(PAPER, key) != 0]
    assert expected(sum(coin_of(key) for key in moved), len(moved), 0.5)


def test_the_recorded_draws_are_those_that_noise_is_made_of() -> None:
    config = NoiseConfig(fraction=0.4, magnitude=0.3, false_positive=0.25)
    for key in KEYS[:500]:
        noise, sign, flip, coin = draws_of(key)
        assert noise_of(config, key) == (0.0 if noise >= 0.4 else 0.3 if sign < 0.5 else -0.3)
        assert rewarded_as_correct(False, config, key) == (flip < 0.25)
        assert coin_of(key) == (coin < 0.5)
    assert len({draw for key in KEYS[:500] for draw in draws_of(key)}) == 2000
