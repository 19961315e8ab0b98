"""Statistics of evaluations and of seeds: pure functions over arrays, with numpy and scipy alone.

Q questions with k responses each. `correct` [Q, k] is 0 or 1 (bool or float), and NaN where a response is missing,
so k may differ between questions. A question's accuracy is the mean over its responses; a question without responses is
left out. Accuracies and their errors are in percent.

Responses to one question share its difficulty, so the independent units are questions, not responses: standard errors
and intervals are over questions, and say how far the accuracy is from the accuracy on all questions of this kind.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats  # type: ignore[import-untyped]

CONFIDENCE = 0.95
POWER = 0.8
"""Power of the test whose minimum detectable effect is given."""
RESAMPLES = 2000
ROUNDING = 1e-9
"""Differences closer than this, in percentage points, are equal."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of two paired samples: two runs by question, or two arms by seed."""

    n: int
    """Pairs that both have."""
    difference: float
    """First minus second, in their unit; NaN without pairs."""
    stderr: float
    """Standard error of the difference, over pairs; NaN below two."""
    interval: tuple[float, float]
    """Confidence interval; NaN below two pairs."""
    p_value: float
    """Two-sided, of no difference."""
    minimum_detectable_effect: float
    """True difference that as many pairs of this spread detect with 80 % power."""

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers by name, without count and interval."""
        return {name: value for name, value in vars(self).items() if name not in ("n", "interval")}


def accuracy_by_question(correct: ArrayLike) -> Array:
    """[Q] percent; NaN for a question without responses."""
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, k]
    known = ~np.isnan(values)
    count = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    accuracy: Array = 100 * np.divide(total, count, out=np.full(len(values), math.nan), where=count > 0)
    return accuracy


def avg_at_k(correct: ArrayLike) -> float:
    """Accuracy averaged over each question's responses, then over questions: percent, NaN without responses."""
    accuracy = drop_nan(accuracy_by_question(correct))
    return float(accuracy.mean()) if len(accuracy) else math.nan


def stderr(correct: ArrayLike) -> float:
    """Standard error of avg_at_k, clustered by question: percent, NaN below two questions."""
    return _stderr(drop_nan(accuracy_by_question(correct)))


def interval(correct: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """95 % interval of avg_at_k by bootstrap over questions: percent, NaN below two questions.

    If all questions have the same accuracy, resampling shows no spread; then it is Wilson's interval of as many
    yes-or-no questions, which is at least as wide as the true one.
    """
    accuracy = drop_nan(accuracy_by_question(correct))
    if len(accuracy) >= 2 and np.ptp(accuracy) == 0:
        return _wilson(accuracy[0] / 100, len(accuracy))
    return _bootstrap(accuracy, seed)


def question_spread(correct: ArrayLike) -> float:
    """Standard deviation of the questions' accuracies: percent, NaN below two questions."""
    accuracy = drop_nan(accuracy_by_question(correct))
    return float(accuracy.std(ddof=1)) if len(accuracy) >= 2 else math.nan


def seed_spread(correct: ArrayLike) -> float:
    """Standard deviation of the k columns' accuracies: how much avg@1 varies with the sampling seed alone.

    Percent, NaN below two columns with responses.
    """
    columns = drop_nan(accuracy_by_question(np.atleast_2d(np.asarray(correct, dtype=float)).T))
    return float(columns.std(ddof=1)) if len(columns) >= 2 else math.nan


def pass_at_k(correct: ArrayLike, k: int) -> float:
    """Probability that at least one of k responses is correct, estimated without bias from n >= k responses: percent.

    Mean over the questions with responses. Raises ValueError if one of them has fewer than k.
    """
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, n]
    n = (~np.isnan(values)).sum(-1)  # [Q]
    values, n = values[n > 0], n[n > 0]
    if k < 1:
        raise ValueError(f"pass@{k}: k must be 1 or more")
    if len(n) and k > n.min():
        raise ValueError(f"pass@{k} needs {k} responses per question; the fewest are {n.min()}")
    none_correct = stats.hypergeom.pmf(0, n, np.nansum(values, -1).astype(int), k)  # [Q]
    return float(100 * (1 - none_correct).mean()) if len(n) else math.nan


def maj_at_k(answers: Sequence[Sequence[Hashable | None]], correct: ArrayLike) -> float:
    """Accuracy of each question's most frequent answer: percent, NaN without responses.

    answers [Q, k]: each response's answer, comparable by ==; None, which has no vote, for a response without a final
    answer. A response that is NaN in `correct` has no vote either. Ties count with the expected value of a random
    choice. A question whose responses all lack an answer counts as wrong.
    """
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, k]
    if [len(row) for row in answers] != [values.shape[1]] * len(values):
        raise ValueError(f"answers must be {values.shape[0]} x {values.shape[1]}, as correct is")
    shares = [_majority(row, right) for row, right in zip(answers, values, strict=True) if not np.isnan(right).all()]
    return float(100 * np.mean(shares)) if shares else math.nan


def share(flags: ArrayLike) -> float:
    """Share of responses with a property, such as being cut off: percent of the values that are not NaN."""
    values = drop_nan(np.asarray(flags, dtype=float).ravel())
    return float(100 * values.mean()) if len(values) else math.nan


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Probability (0 to 1) that a correct response has the higher confidence than a wrong one; a tie counts half.

    Both arrays have the same shape; pairs with a NaN are left out. NaN without correct or without wrong responses.
    """
    scores, right = np.asarray(confidence, dtype=float).ravel(), np.asarray(correct, dtype=float).ravel()
    known = ~np.isnan(scores) & ~np.isnan(right)
    upper, lower = scores[known & (right == 1)], scores[known & (right == 0)]
    if not len(upper) or not len(lower):
        return math.nan
    return float(stats.mannwhitneyu(upper, lower).statistic / (len(upper) * len(lower)))


def paired_comparison(a: ArrayLike, b: ArrayLike, seed: int = 0) -> PairedDifference:
    """a minus b, each [Q, its own k], on the same questions in the same order; questions that one lacks are left out.

    The interval is the bootstrap's at 95 %, the p-value that of `sign_flip_test`. Raises ValueError if the numbers of
    questions differ.
    """
    first, second = accuracy_by_question(a), accuracy_by_question(b)  # [Q] percent
    if len(first) != len(second):
        raise ValueError(f"runs of {len(first)} and {len(second)} questions are not paired")
    both = ~np.isnan(first) & ~np.isnan(second)
    difference = first[both] - second[both]
    n = len(difference)
    spread = _stderr(difference)
    return PairedDifference(
        n=n,
        difference=float(difference.mean()) if n else math.nan,
        stderr=spread,
        interval=_difference_interval(difference, seed),
        p_value=sign_flip_test(difference, seed),
        minimum_detectable_effect=minimum_detectable_effect(spread, n),
    )


def seed_comparison(a: ArrayLike, b: ArrayLike, level: float = CONFIDENCE) -> PairedDifference:
    """a minus b, both [S], one value per seed in the same order; seeds that one lacks (NaN) are left out.

    Interval at `level` and p-value by the paired t test: they are about other seeds, not about other questions. Both
    are NaN below two seeds, and if all seeds have the same difference, which shows no spread.
    """
    difference = drop_nan(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))  # [common seeds]
    n = len(difference)
    spread = _stderr(difference)
    # Accuracies are counts over a fixed number: equal differences are common, and equal but for rounding.
    shown = n >= 2 and float(np.ptp(difference)) > ROUNDING
    test = stats.ttest_1samp(difference, 0.0) if shown else None
    bounds = test.confidence_interval(level) if test else (math.nan, math.nan)
    return PairedDifference(
        n=n,
        difference=float(difference.mean()) if n else math.nan,
        stderr=spread,
        interval=(float(bounds[0]), float(bounds[1])),
        p_value=float(test.pvalue) if test else math.nan,
        minimum_detectable_effect=minimum_detectable_effect(spread, n, level) if shown else math.nan,
    )


def mean_and_stderr(values: ArrayLike) -> tuple[float, float]:
    """Mean of values [S] and its standard error, without NaN; the mean is NaN without values, the error below two."""
    known = drop_nan(np.asarray(values, dtype=float))
    return (float(known.mean()) if len(known) else math.nan, _stderr(known))


def minimum_detectable_effect(spread: float, n: int, level: float = CONFIDENCE) -> float:
    """True difference that a two-sided t test detects with 80 % power, from a standard error over n questions or seeds.

    `level` is 1 - alpha: 0.95 for a test at 5 %. In the unit of the standard error; NaN if that is 0, which says
    nothing about the spread of other samples.
    """
    if n < 2 or not spread > 0:
        return math.nan
    critical = stats.t.ppf((1 + level) / 2, n - 1)
    # The noncentrality at which a t of n - 1 degrees of freedom is under the critical value with probability 20 %.
    return float(spread * special.nctdtrinc(n - 1, 1 - POWER, critical))


def drop_nan(values: Array) -> Array:
    known: Array = values[~np.isnan(values)]
    return known


def _stderr(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) >= 2 else math.nan


def _bootstrap(values: Array, seed: int) -> tuple[float, float]:
    """BCa bootstrap interval of the mean of values [Q], at a level widened for few questions.

    A resample's spread is too small by sqrt((Q - 1) / Q), and its quantiles are those of a normal, not of a t
    distribution. The wider level corrects both: coverage rises from 90 % to 95 % at 30 questions of skewed difficulty.
    """
    n = len(values)
    if n < 2:
        return (math.nan, math.nan)
    tail = stats.norm.sf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=min(1 - 2 * float(tail), 1 - 1e-12),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return (float(found.low), float(found.high))


def _difference_interval(difference: Array, seed: int) -> tuple[float, float]:
    """Like interval(), for differences; if all are equal, they get Wilson's interval of as many unchanged questions."""
    if len(difference) >= 2 and np.ptp(difference) == 0:
        _, unseen = _wilson(0.0, len(difference))
        return (max(-100.0, float(difference[0]) - unseen), min(100.0, float(difference[0]) + unseen))
    return _bootstrap(difference, seed)


def _wilson(accuracy: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (0 to 1) among n: percent."""
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    centre = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
    return (100 * max(0.0, float(centre - half)), 100 * min(1.0, float(centre + half)))


def sign_flip_test(difference: Array, seed: int) -> float:
    """Two-sided p-value of a mean difference under random sign flips, which exchange the two runs of a question."""
    if not len(difference):
        return math.nan
    test = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", rng=np.random.default_rng(seed), batch=1000
    )
    return float(test.pvalue)


def _majority(answers: Sequence[Hashable | None], correct: Array) -> float:
    """Probability (0 to 1) that a random one of the most frequent answers is correct."""
    votes = [(answer, right) for answer, right in zip(answers, correct, strict=True) if not math.isnan(right)]
    counts = Counter(answer for answer, _ in votes if answer is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    winners = {answer for answer, count in counts.items() if count == most}
    return float(np.mean([right for answer, right in votes if answer in winners]))
