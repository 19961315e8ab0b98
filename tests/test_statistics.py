import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from icpo_cli import statistics

NAN = math.nan


def test_accuracy_and_its_error_are_over_questions() -> None:
    correct = [[1, 1], [1, 0], [0, 0], [1, 0]]  # questions: 100, 50, 0, 50
    assert statistics.avg_at_k(correct) == 50
    # sample std of (100, 50, 0, 50) is sqrt(5000/3) = 40.82; over sqrt(4)
    assert statistics.stderr(correct) == pytest.approx(math.sqrt(5000 / 3) / 2)
    assert statistics.question_spread(correct) == pytest.approx(math.sqrt(5000 / 3))
    # columns: 75 and 25
    assert statistics.seed_spread(correct) == pytest.approx(math.sqrt(2 * 25**2))


def test_the_error_does_not_shrink_by_repeating_responses() -> None:
    correct = np.array([[1], [0], [1], [1], [0]])
    assert statistics.stderr(np.repeat(correct, 16, axis=1)) == pytest.approx(statistics.stderr(correct))
    assert statistics.interval(np.repeat(correct, 16, axis=1)) == statistics.interval(correct)


def test_missing_responses_are_not_wrong_ones() -> None:
    correct = [[1.0, NAN, NAN], [1.0, 0.0, 0.0], [NAN, NAN, NAN]]
    assert statistics.avg_at_k(correct) == pytest.approx((100 + 100 / 3) / 2)
    assert statistics.accuracy_by_question(correct)[:2] == pytest.approx([100, 100 / 3])
    assert math.isnan(statistics.accuracy_by_question(correct)[2])


def test_nothing_and_one_question() -> None:
    assert math.isnan(statistics.avg_at_k([[NAN, NAN]]))
    assert statistics.avg_at_k([[1, 0]]) == 50
    assert math.isnan(statistics.stderr([[1, 0]]))
    assert np.isnan(statistics.interval([[1, 0]])).all()
    assert math.isnan(statistics.seed_spread([[1], [0]]))


def test_equal_questions_still_leave_doubt() -> None:
    # Wilson for 0 of 30: z^2 / (30 + z^2)
    low, high = statistics.interval(np.zeros((30, 16)))
    assert (low, high) == pytest.approx((0, 100 * 1.959964**2 / (30 + 1.959964**2)), abs=1e-3)
    low, high = statistics.interval(np.ones((30, 16)))
    assert (high, low) == pytest.approx((100, 100 - 100 * 1.959964**2 / (30 + 1.959964**2)), abs=1e-3)


def test_the_interval_is_a_function_of_data_and_seed() -> None:
    correct = np.random.default_rng(0).integers(0, 2, (40, 4))
    assert statistics.interval(correct) == statistics.interval(correct)
    assert statistics.interval(correct) == pytest.approx(statistics.interval(correct, seed=1), abs=2)
    low, high = statistics.interval(correct)
    assert 0 <= low < statistics.avg_at_k(correct) < high <= 100


SETTINGS = [
    (30, 16, 1.0, 1.0),
    (30, 16, 0.5, 2.0),
    (30, 16, 5.0, 2.0),
    (30, 2, 0.5, 2.0),
    (200, 2, 2.0, 1.0),
]


@pytest.mark.parametrize(("questions", "k", "a", "b"), SETTINGS)
def test_intervals_cover_the_truth_in_93_to_97_percent(questions: int, k: int, a: float, b: float) -> None:
    """1,000 evaluations, or 400 large ones, of a model whose chance on a question is drawn from a beta distribution."""
    draw = np.random.default_rng(12)
    covered, evaluations = 0, 1000 if questions < 100 else 400
    for _ in range(evaluations):
        correct = draw.random((questions, k)) < draw.beta(a, b, (questions, 1))
        low, high = statistics.interval(correct)
        covered += low <= 100 * a / (a + b) <= high
    assert 0.93 <= covered / evaluations <= 0.97


def test_pass_at_k_is_unbiased() -> None:
    # 4 responses, 1 right: 1 - C(3, 2) / C(4, 2) = 1/2; 2 right: 1 - 1/6
    assert statistics.pass_at_k([[1, 0, 0, 0], [1, 1, 0, 0]], 2) == pytest.approx(100 * (1 / 2 + 5 / 6) / 2)
    assert statistics.pass_at_k([[1, 0, 0, 0]], 1) == pytest.approx(25)
    assert statistics.pass_at_k([[1, 0, NAN], [0.0, 0, 0]], 2) == pytest.approx(50)
    draw = np.random.default_rng(0)
    means = [statistics.pass_at_k(draw.random((200, 8)) < 0.2, 4) for _ in range(200)]
    assert np.mean(means) == pytest.approx(100 * (1 - 0.8**4), abs=0.5)


def test_pass_at_more_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="pass@3 needs 3 responses per question; the fewest are 2"):
        statistics.pass_at_k([[1.0, 0, 0], [1, 0, NAN]], 3)
    with pytest.raises(ValueError, match="k must be 1 or more"):
        statistics.pass_at_k([[1]], 0)


def test_majority_takes_the_expectation_over_ties() -> None:
    assert statistics.maj_at_k([["7", "7", "3"]], [[1, 1, 0]]) == 100
    assert statistics.maj_at_k([["7", "3", "3"]], [[1, 0, 0]]) == 0
    assert statistics.maj_at_k([["7", "3", "5"]], [[1, 0, 0]]) == pytest.approx(100 / 3)
    assert statistics.maj_at_k([["7", None, None]], [[1, 0, 0]]) == 100  # no answer, no vote
    assert statistics.maj_at_k([[None, None]], [[0, 0]]) == 0
    assert statistics.maj_at_k([["7", "3", "3"]], [[1, 0, NAN]]) == 50  # the missing one has no vote
    with pytest.raises(ValueError, match="answers must be 1 x 2"):
        statistics.maj_at_k([["7"]], [[1, 0]])


def test_share_counts_what_is_there() -> None:
    assert statistics.share([[1, 0, NAN], [0, 0, NAN]]) == 25
    assert math.isnan(statistics.share([[NAN]]))


def test_auroc() -> None:
    # pairs right over wrong: (-0.1 > -0.3), (-0.1 > -0.2), (-0.2 > -0.3), (-0.2 = -0.2): 3.5 of 4
    assert statistics.auroc([[-0.1, -0.2], [-0.3, -0.2]], [[1, 1], [0, 0]]) == pytest.approx(3.5 / 4)
    assert statistics.auroc([-0.1, -0.9, NAN], [1, 0, 0]) == 1
    assert math.isnan(statistics.auroc([-0.1, -0.2], [1, 1]))


def test_paired_comparison_by_hand() -> None:
    a, b = [[1, 1], [1, 0], [1, 1], [0, 0]], [[1], [0], [0], [0]]  # differences 0, 50, 100, 0
    found = statistics.paired_comparison(a, b)
    assert (found.n, found.difference) == (4, 37.5)
    assert found.stderr == pytest.approx(np.std([0, 50, 100, 0], ddof=1) / 2)
    # of the 4 ways to exchange the two questions that differ, two are as extreme
    assert found.p_value == pytest.approx(0.5)
    # noncentrality of t(3) with 80 % beyond t(0.975, 3) = 3.1824: 4.2559
    assert found.minimum_detectable_effect == pytest.approx(found.stderr * 4.2559, rel=1e-4)
    assert found.interval[0] < 37.5 < found.interval[1]


def test_the_minimum_detectable_effect_is_found_in_80_percent() -> None:
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(120):
        chance = draw.uniform(0.2, 0.7, (40, 1))
        base = draw.random((40, 4)) < chance
        planned = statistics.paired_comparison(base, draw.random((40, 4)) < chance).minimum_detectable_effect
        better = draw.random((40, 4)) < chance + planned / 100
        found += statistics.paired_comparison(better, draw.random((40, 4)) < chance).p_value < 0.05
    assert 0.7 <= found / 120 <= 0.9


def test_equal_runs_do_not_differ_and_show_no_power() -> None:
    correct = [[1, 0], [0, 0], [1, 1]]
    found = statistics.paired_comparison(correct, correct)
    assert (found.difference, found.p_value) == (0, 1)
    assert math.isnan(found.minimum_detectable_effect)
    assert found.interval[0] == -found.interval[1] < 0


def test_pairing_takes_the_questions_that_both_have() -> None:
    found = statistics.paired_comparison([[1.0], [NAN], [0.0], [1.0]], [[0.0], [1.0], [0.0], [NAN]])
    assert (found.n, found.difference) == (2, 50)
    with pytest.raises(ValueError, match="2 and 1 questions are not paired"):
        statistics.paired_comparison([[1], [0]], [[1]])
    assert statistics.paired_comparison([[NAN]], [[1]]).n == 0


def test_arms_are_compared_seed_by_seed() -> None:
    # differences 2, 4, 9: mean 5, sample variance (9 + 1 + 16) / 2 = 13
    found = statistics.seed_comparison([52, 64, 79], [50, 60, 70])
    error = math.sqrt(13 / 3)
    assert (found.n, found.difference) == (3, 5)
    assert found.stderr == pytest.approx(error)
    # t(0.975, 2) = 4.30265
    assert found.interval == pytest.approx((5 - 4.30265 * error, 5 + 4.30265 * error), abs=1e-4)
    # p of t = 5 / 2.0817 = 2.4019 at 2 degrees of freedom: 1 - t / sqrt(t^2 + 2)
    t = 5 / error
    assert found.p_value == pytest.approx(1 - t / math.sqrt(t**2 + 2))
    # noncentrality of t(2) with 80 % beyond t(0.975, 2) = 4.30265: 5.6535
    assert found.minimum_detectable_effect == pytest.approx(5.6535 * error, abs=1e-3)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_a_few_seeds_detect_the_minimum_effect_in_80_percent(n: int) -> None:
    effect = statistics.minimum_detectable_effect(1 / math.sqrt(n), n)
    draws = np.random.default_rng(n).normal(effect, 1, (40_000, n))
    t = draws.mean(1) / draws.std(1, ddof=1) * math.sqrt(n)
    assert (np.abs(t) > stats.t.ppf(0.975, n - 1)).mean() == pytest.approx(0.8, abs=0.01)


def test_a_stricter_level_widens_the_interval() -> None:
    # 5 % shared by 4 comparisons: t(1 - 0.0125 / 2, 2) = 8.86042
    found = statistics.seed_comparison([52, 64, 79], [50, 60, 70], level=1 - 0.05 / 4)
    assert found.interval[1] - 5 == pytest.approx(8.86042 * math.sqrt(13 / 3), abs=1e-3)


def test_seeds_that_one_arm_lacks_are_left_out_of_a_pair() -> None:
    found = statistics.seed_comparison([52, NAN, 79], [50, 60, 70])
    assert (found.n, found.difference) == (2, 5.5)
    alone = statistics.seed_comparison([52, NAN], [50, 60])
    assert (alone.n, alone.difference) == (1, 2)
    assert np.isnan([alone.stderr, *alone.interval, alone.p_value, alone.minimum_detectable_effect]).all()
    none = statistics.seed_comparison([NAN], [1])
    assert none.n == 0 and math.isnan(none.difference)


@pytest.mark.parametrize("a", [[72, 74, 76], [100 * 43 / 60, 100 * 41 / 60]])
def test_differences_that_are_all_equal_show_no_spread(a: list[float]) -> None:
    """The second by 100/60 each, which rounding keeps from being exactly so."""
    b = [70, 72, 74] if len(a) == 3 else [100 * 42 / 60, 100 * 40 / 60]
    found = statistics.seed_comparison(a, b)
    assert found.difference > 1
    assert np.isnan([*found.interval, found.p_value, found.minimum_detectable_effect]).all()


def test_a_mean_over_seeds_and_its_error() -> None:
    # 60, 66, 69: mean 65, sample variance (25 + 1 + 16) / 2 = 21
    assert statistics.mean_and_stderr([60, 66, NAN, 69]) == pytest.approx((65, math.sqrt(21 / 3)))
    mean, error = statistics.mean_and_stderr([60])
    assert mean == 60 and math.isnan(error)
    assert math.isnan(statistics.mean_and_stderr([])[0])


def test_the_interval_over_three_seeds_covers_the_truth_in_95_percent() -> None:
    draw = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        low, high = statistics.seed_comparison(3 + draw.normal(0, 2, 3), np.zeros(3)).interval
        covered += low <= 3 <= high
    assert 0.935 <= covered / 1000 <= 0.965
