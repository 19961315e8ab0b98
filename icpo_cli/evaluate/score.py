"""From responses and verdicts to a benchmark's numbers. Every way to get responses ends here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from icpo_cli import statistics
from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import Stored
from icpo_cli.records import Verdict, VerdictKind, count_verdicts

Array = statistics.Array


@dataclass(frozen=True)
class Part:
    """One benchmark's responses and the verdicts on them, however they were come by."""

    task: Task
    responses: Mapping[Key, Stored]
    verdicts: Mapping[Key, Verdict]
    seconds: float = 0.0
    """Of generation in this process."""
    unknown: int = 0
    """Responses given to questions that the benchmark has not."""

    def column(self, value: Callable[[Stored], float]) -> Array:
        """[Q, k] of the responses; NaN where one is not there."""
        grid = self.task.grid
        rows = [[value(self.responses[key]) if key in self.responses else math.nan for key in row] for row in grid]
        return np.array(rows, dtype=float).reshape(len(grid), self.task.k)

    def correct(self) -> Array:
        """[Q, k] 1 or 0; NaN where there is no verdict, or none that says whether the answer is right."""
        grid = self.task.grid
        rows = [[value_of(self.verdicts.get(key)) for key in row] for row in grid]
        return np.array(rows, dtype=float).reshape(len(grid), self.task.k)


@dataclass(frozen=True)
class Missing:
    """What a result lacks. Nothing of it counts as a wrong answer."""

    questions: int
    """Of the benchmark, without any graded response; those beyond eval.limit among them."""
    responses: int
    """Of the asked questions, that are not there."""
    ungraded: int
    """Whose verdict is error or timeout: the judge did not answer, or the comparison failed or took too long."""
    unknown: int = 0
    """Given responses to questions that the benchmark has not."""


@dataclass(frozen=True)
class Result:
    """One benchmark's numbers. Shares and accuracies in percent; NaN where there is nothing to take one from."""

    bench: str
    title: str
    n: int
    """Questions with a graded response."""
    k: int
    avg_at_k: float
    stderr: float
    """Over questions."""
    ci95: tuple[float, float]
    """Of avg_at_k, bootstrap over questions."""
    verdicts: dict[str, int]
    partial: bool
    """Not the whole benchmark, k responses each: not to be compared with whole ones."""
    missing: Missing
    response_tokens_mean: float
    seconds: float
    """Of generation in this process, shared among its benchmarks by tokens."""
    pass_at_k: dict[int, float]
    maj_at_k: float
    no_answer_share: float
    cut_off_share: float
    seed_spread: float
    """Standard deviation of the k columns' accuracies."""
    question_spread: float
    """Standard deviation of the questions' accuracies."""
    confidence_correct: float
    """Mean over right responses of the log of the mean token probability at sampling, nats."""
    confidence_wrong: float
    auroc: float
    """Chance that a right response was the more confident (0 to 1)."""
    missing_ids: tuple[str, ...] = field(repr=False)
    """Asked questions without a graded response."""


def score(part: Part, pass_at: Sequence[int] = ()) -> Result:
    """The numbers of what there is; questions and responses that are not there are counted, not scored."""
    task, responses = part.task, part.responses
    correct = part.correct()  # [Q, k]
    graded = ~np.isnan(correct)  # [Q, k]
    there = [key for key in task.keys if key in responses]
    verdicts = [part.verdicts[key] for key in there if key in part.verdicts]
    confidence = part.column(_confidence)  # [Q, k]
    tokens = part.column(lambda response: math.nan if response.tokens is None else len(response.tokens))
    missing = Missing(
        questions=len(task.loaded.questions) - int(graded.any(-1).sum()),
        responses=len(task.keys) - len(there),
        ungraded=len(there) - int(graded.sum()),
        unknown=part.unknown,
    )
    return Result(
        bench=task.name,
        title=task.benchmark.title,
        n=int(graded.any(-1).sum()),
        k=task.k,
        avg_at_k=statistics.avg_at_k(correct),
        stderr=statistics.stderr(correct),
        ci95=statistics.interval(correct),
        verdicts=count_verdicts(verdicts),
        partial=any(vars(missing).values()),
        missing=missing,
        response_tokens_mean=_mean(tokens),
        seconds=part.seconds,
        pass_at_k=_pass_at_k(correct, pass_at),
        maj_at_k=_maj_at_k(part, correct),
        no_answer_share=statistics.share([verdict.kind is VerdictKind.NO_ANSWER for verdict in verdicts]),
        cut_off_share=statistics.share(part.column(_cut_off)),
        seed_spread=statistics.seed_spread(correct),
        question_spread=statistics.question_spread(correct),
        confidence_correct=_mean(confidence[correct == 1]),
        confidence_wrong=_mean(confidence[correct == 0]),
        auroc=statistics.auroc(confidence, correct),
        missing_ids=tuple(q.id for q, row in zip(task.questions, graded, strict=True) if not row.any()),
    )


def value_of(verdict: Verdict | None) -> float:
    """1 or 0; NaN where there is no verdict, or none that says whether the answer is right."""
    if verdict is None or not verdict.decided:
        return math.nan
    return float(verdict.correct)


def _confidence(response: Stored) -> float:
    """Log of the mean probability of its tokens, as in training."""
    return math.log(response.mean_prob) if response.mean_prob else math.nan


def _cut_off(response: Stored) -> float:
    return math.nan if response.finish_reason is None else float(response.finish_reason == "length")


def _pass_at_k(correct: Array, wanted: Sequence[int]) -> dict[int, float]:
    """For the k asked for, else for the powers of two up to the responses that every question has."""
    counts = (~np.isnan(correct)).sum(-1)
    fewest = int(min(counts[counts > 0], default=0))
    ks = wanted or [2**power for power in range(fewest.bit_length())]
    return {k: statistics.pass_at_k(correct, k) for k in ks if k <= fewest}


def _maj_at_k(part: Part, correct: Array) -> float:
    """Right answers are one answer however they are written; wrong ones are equal where their text is."""
    answers = [[_vote(part.verdicts.get(key)) for key in row] for row in part.task.grid]
    return statistics.maj_at_k(answers, correct)


def _vote(verdict: Verdict | None) -> tuple[bool, str] | None:
    if verdict is None or verdict.extracted is None:
        return None
    return verdict.correct, "" if verdict.correct else " ".join(verdict.extracted.split()).casefold()


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
