"""Statistics of an evaluation, and of arms over seeds: pure functions over arrays, numpy and scipy alone.

Q questions, k responses each. `correct` [Q, k] holds 0 or 1 (bool or float) and NaN where a response is missing, so
that k may differ between questions. A question's accuracy is the mean over its responses that are there; a question
without any is left out. Accuracies and their errors are in percent.

Responses to one question share its difficulty, so questions, not responses, are what is independent: standard errors
and intervals are over questions and say how far the accuracy is from that on all questions of this sort.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats  # type: ignore[import-untyped]

CONFIDENCE = 0.95
POWER = 0.8
"""Of the test whose smallest detectable difference is given."""
RESAMPLES = 2000
ROUNDING = 1e-9
"""Percentage points below which two differences are one."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairedComparison:
    """Accuracy of a run less that of another on the same questions."""

    n: int
    """Questions that both runs answered."""
    difference: float
    """Percentage points."""
    stderr: float
    """Of the difference, over questions."""
    ci95: tuple[float, float]
    p_value: float
    """Of no difference: share of the random exchanges of the two runs, question by question, that differ as much."""
    smallest_detectable: float
    """The true difference that questions of this number and spread show at the 5 % level in 80 % of cases."""


@dataclass(frozen=True)
class SeedComparison:
    """What one arm reached less what another did, paired by seed, in their unit."""

    n: int
    """Seeds that both have."""
    difference: float
    """NaN without such seeds."""
    stderr: float
    """Of the difference, over seeds; NaN below two."""
    interval: tuple[float, float]
    """At the level asked for. NaN below two seeds, and where all seeds differ by the same, which shows no spread."""
    p_value: float
    """Of no difference, by the paired t test; NaN where the interval is."""
    smallest_detectable: float
    """The true difference that as many seeds of this spread show at that level in 80 % of cases."""


def accuracy_by_question(correct: ArrayLike) -> Array:
    """[Q] percent; NaN for a question without responses."""
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, k]
    there = ~np.isnan(values)
    count = there.sum(-1)
    total = np.where(there, values, 0.0).sum(-1)
    accuracy: Array = 100 * np.divide(total, count, out=np.full(len(values), math.nan), where=count > 0)
    return accuracy


def avg_at_k(correct: ArrayLike) -> float:
    """Accuracy averaged over each question's responses, then over questions: percent, NaN without responses."""
    accuracy = _there(accuracy_by_question(correct))
    return float(accuracy.mean()) if len(accuracy) else math.nan


def stderr(correct: ArrayLike) -> float:
    """Standard error of avg_at_k, clustered by question: percent, NaN below two questions."""
    return _stderr(_there(accuracy_by_question(correct)))


def interval(correct: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """95 % interval of avg_at_k by bootstrap over questions: percent, NaN below two questions.

    Where all questions have one accuracy, resampling them shows no spread: Wilson's interval of as many yes-or-no
    questions stands in, the widest that answers within 0 and 100 can ask for.
    """
    accuracy = _there(accuracy_by_question(correct))
    if len(accuracy) >= 2 and np.ptp(accuracy) == 0:
        return _wilson(accuracy[0] / 100, len(accuracy))
    return _bootstrap(accuracy, seed)


def question_spread(correct: ArrayLike) -> float:
    """Standard deviation of the questions' accuracies: percent, NaN below two questions."""
    accuracy = _there(accuracy_by_question(correct))
    return float(accuracy.std(ddof=1)) if len(accuracy) >= 2 else math.nan


def seed_spread(correct: ArrayLike) -> float:
    """Standard deviation of the k columns' accuracies: how far one response a question varies with the seed alone.

    Percent, NaN below two columns with responses.
    """
    columns = _there(accuracy_by_question(np.atleast_2d(np.asarray(correct, dtype=float)).T))
    return float(columns.std(ddof=1)) if len(columns) >= 2 else math.nan


def pass_at_k(correct: ArrayLike, k: int) -> float:
    """Chance that one or more of k responses are right, unbiased from n >= k of them: percent.

    Averaged over questions with responses. Raises ValueError where one of them has fewer than k.
    """
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, n]
    n = (~np.isnan(values)).sum(-1)  # [Q]
    values, n = values[n > 0], n[n > 0]
    if k < 1:
        raise ValueError(f"pass@{k}: k must be 1 or more")
    if len(n) and k > n.min():
        raise ValueError(f"pass@{k} needs {k} responses a question; the fewest are {n.min()}")
    none_right = stats.hypergeom.pmf(0, n, np.nansum(values, -1).astype(int), k)  # [Q]
    return float(100 * (1 - none_right).mean()) if len(n) else math.nan


def maj_at_k(answers: Sequence[Sequence[Hashable | None]], correct: ArrayLike) -> float:
    """Accuracy of each question's most frequent answer: percent, NaN without responses.

    answers [Q, k]: what each response answered, equal values being equal answers; None, which has no vote, where it
    has no final answer. Responses that `correct` lacks have none either. Equally frequent answers count as drawn by
    lot: the expectation is taken. A question whose responses all lack an answer is answered wrongly.
    """
    values = np.atleast_2d(np.asarray(correct, dtype=float))  # [Q, k]
    if [len(row) for row in answers] != [values.shape[1]] * len(values):
        raise ValueError(f"answers must be {values.shape[0]} x {values.shape[1]}, as correct is")
    shares = [_majority(row, right) for row, right in zip(answers, values, strict=True) if not np.isnan(right).all()]
    return float(100 * np.mean(shares)) if shares else math.nan


def share(flags: ArrayLike) -> float:
    """Share of responses of which something holds, such as being cut off: percent of those that are not NaN."""
    values = _there(np.asarray(flags, dtype=float).ravel())
    return float(100 * values.mean()) if len(values) else math.nan


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Chance (0 to 1) that a right response is more confident than a wrong one, a tie counting half.

    Both of one shape; pairs with a NaN are left out. NaN where no response is right or none is wrong.
    """
    scores, right = np.asarray(confidence, dtype=float).ravel(), np.asarray(correct, dtype=float).ravel()
    known = ~np.isnan(scores) & ~np.isnan(right)
    upper, lower = scores[known & (right == 1)], scores[known & (right == 0)]
    if not len(upper) or not len(lower):
        return math.nan
    return float(stats.mannwhitneyu(upper, lower).statistic / (len(upper) * len(lower)))


def paired_comparison(a: ArrayLike, b: ArrayLike, seed: int = 0) -> PairedComparison:
    """a less b, both [Q, k of its own] on the same questions in one order; questions that either lacks are left out.

    Raises ValueError where the numbers of questions differ.
    """
    first, second = accuracy_by_question(a), accuracy_by_question(b)  # [Q] percent
    if len(first) != len(second):
        raise ValueError(f"runs of {len(first)} and {len(second)} questions are not paired")
    both = ~np.isnan(first) & ~np.isnan(second)
    difference = first[both] - second[both]
    n = len(difference)
    spread = _stderr(difference)
    return PairedComparison(
        n=n,
        difference=float(difference.mean()) if n else math.nan,
        stderr=spread,
        ci95=_difference_interval(difference, seed),
        p_value=_exchange_test(difference, seed),
        smallest_detectable=smallest_detectable(spread, n),
    )


def seed_comparison(a: ArrayLike, b: ArrayLike, level: float = CONFIDENCE) -> SeedComparison:
    """a less b, both [S], one value a seed in one order; seeds that either lacks (NaN) are left out.

    The interval is Student's, of the mean difference: it speaks of other seeds, not of other questions.
    """
    difference = _there(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))  # [seeds that both have]
    n = len(difference)
    spread = _stderr(difference)
    # Accuracies are counts over a fixed number: equal differences are common, and equal but for rounding.
    shown = n >= 2 and float(np.ptp(difference)) > ROUNDING
    test = stats.ttest_1samp(difference, 0.0) if shown else None
    bounds = test.confidence_interval(level) if test else (math.nan, math.nan)
    return SeedComparison(
        n=n,
        difference=float(difference.mean()) if n else math.nan,
        stderr=spread,
        interval=(float(bounds[0]), float(bounds[1])),
        p_value=float(test.pvalue) if test else math.nan,
        smallest_detectable=smallest_detectable(spread, n, level) if shown else math.nan,
    )


def mean_and_stderr(values: ArrayLike) -> tuple[float, float]:
    """Of values [S], NaN ones left out; NaN where there are none, the error below two."""
    known = _there(np.asarray(values, dtype=float))
    return (float(known.mean()) if len(known) else math.nan, _stderr(known))


def smallest_detectable(spread: float, n: int, level: float = CONFIDENCE) -> float:
    """The difference that a two-sided test finds with 80 % power, from its standard error over n questions or seeds.

    `level` is one less the test's: 0.95 for a 5 % test. In the unit of the standard error; NaN where that is 0, which
    tells nothing of the spread of others.
    """
    if n < 2 or not spread > 0:
        return math.nan
    return float(spread * (stats.t.ppf((1 + level) / 2, n - 1) + stats.t.ppf(POWER, n - 1)))


def _there(values: Array) -> Array:
    known: Array = values[~np.isnan(values)]
    return known


def _stderr(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) >= 2 else math.nan


def _bootstrap(values: Array, seed: int) -> tuple[float, float]:
    """Interval of the mean of values [Q]: bias-corrected and accelerated, at a level widened for few questions.

    A resample's spread is by sqrt((Q - 1) / Q) too small and its quantiles are a normal's, not a t's; asking for a
    level that makes up for both brings the coverage from 90 % to 95 % at 30 questions of skewed difficulty.
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
    """As interval(), of differences; equal ones get the spread that as many unchanged questions leave possible."""
    if len(difference) >= 2 and np.ptp(difference) == 0:
        _, unseen = _wilson(0.0, len(difference))
        return (max(-100.0, float(difference[0]) - unseen), min(100.0, float(difference[0]) + unseen))
    return _bootstrap(difference, seed)


def _wilson(accuracy: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share (0 to 1) of n: percent."""
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    centre = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
    return (100 * max(0.0, float(centre - half)), 100 * min(1.0, float(centre + half)))


def _exchange_test(difference: Array, seed: int) -> float:
    """Two-sided p-value of a mean difference when the two runs of each question are exchanged at random."""
    if not len(difference):
        return math.nan
    test = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", rng=np.random.default_rng(seed), batch=1000
    )
    return float(test.pvalue)


def _majority(answers: Sequence[Hashable | None], correct: Array) -> float:
    """The chance (0 to 1) that one of the most frequent answers, drawn by lot, is right."""
    votes = [(answer, right) for answer, right in zip(answers, correct, strict=True) if not math.isnan(right)]
    counts = Counter(answer for answer, _ in votes if answer is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    winners = {answer for answer, count in counts.items() if count == most}
    return float(np.mean([right for answer, right in votes if answer in winners]))
