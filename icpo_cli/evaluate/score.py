"""Verdicts on a task's responses, and its numbers in one record for every kind of evaluation."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from icpo_cli import statistics
from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.grading.verifier import Answer, Verifier
from icpo_cli.records import UNDECIDED, Verdict, VerdictKind, count_verdicts
from icpo_cli.text import known

Array = statistics.Array


@dataclass(frozen=True)
class TaskResponses:
    """A task's responses and the verdicts on them, from any source."""

    task: Task
    responses: Mapping[Key, StoredResponse]
    verdicts: Mapping[Key, Verdict]
    seconds: float = 0.0
    """Duration of generation in this process."""
    unknown: int = 0
    """Responses in the input file to questions that the benchmark does not have."""

    def column(self, value: Callable[[StoredResponse], float]) -> Array:
        """[Q, k] values of the responses; NaN where a response is missing."""
        grid = self.task.grid
        rows = [[value(self.responses[key]) if key in self.responses else math.nan for key in row] for row in grid]
        return np.array(rows, dtype=float).reshape(len(grid), self.task.k)

    def correct(self) -> Array:
        """[Q, k] 1 or 0; 0 too for an answer that could not be compared.

        NaN without a verdict, or if the gold answer is unusable or the judge did not answer.
        """
        return self._verdict_column(_value)

    def undecided(self) -> Array:
        """[Q, k] 1 for an answer that could not be compared with a usable gold answer, else 0."""
        return self._verdict_column(lambda verdict: float(verdict is not None and verdict.incomparable))

    def _verdict_column(self, value: Callable[[Verdict | None], float]) -> Array:
        grid = self.task.grid
        rows = [[value(self.verdicts.get(key)) for key in row] for row in grid]
        return np.array(rows, dtype=float).reshape(len(grid), self.task.k)


@dataclass(frozen=True)
class MissingCounts:
    """Counts of what a result lacks. None of it counts as a wrong answer."""

    questions: int = 0
    """Questions of the benchmark without any graded response, those beyond eval.limit included."""
    responses: int = 0
    """Responses to the evaluated questions that do not exist."""
    ungraded: int = 0
    """Responses with verdict error whose gold answer is unusable, or to which the judge did not answer."""
    unknown: int = 0
    """Responses in the input file to questions that the benchmark does not have."""


@dataclass(frozen=True)
class EvalResult:
    """One task's numbers. Shares and accuracies in percent; NaN if there is nothing to compute a number from."""

    bench: str
    """The task's name."""
    title: str
    n: int
    """Questions with a graded response."""
    k: int
    avg_at_k: float
    stderr: float
    """Over questions."""
    ci95: tuple[float, float] = (math.nan, math.nan)
    """95 % interval of avg_at_k, by bootstrap over questions."""
    verdicts: dict[str, int] = field(default_factory=dict)
    """Responses by kind of verdict."""
    undecided: int = 0
    """Responses that could not be compared with a usable gold answer in time and memory. They count as wrong."""
    upper_bound: float = math.nan
    """avg_at_k if all undecided responses were correct."""
    partial: bool = False
    """The result does not cover all questions with k graded responses each: not comparable with one that does."""
    missing: MissingCounts = MissingCounts()
    response_tokens_mean: float = math.nan
    seconds: float = 0.0
    """Duration of generation in this process, divided among its tasks by tokens."""
    pass_at_k: dict[int, float] = field(default_factory=dict)
    maj_at_k: float = math.nan
    no_answer_share: float = math.nan
    cut_off_share: float = math.nan
    seed_spread: float = math.nan
    """Standard deviation of the k columns' accuracies."""
    question_spread: float = math.nan
    """Standard deviation of the questions' accuracies."""
    confidence_correct: float = math.nan
    """Log of the mean token probability at sampling, mean over correct responses, nats."""
    confidence_wrong: float = math.nan
    auroc: float = math.nan
    """Probability that a correct response is more confident than a wrong one (0 to 1)."""
    missing_ids: tuple[str, ...] = field(default=(), repr=False)
    """Evaluated questions without a graded response."""

    @property
    def questions(self) -> int:
        """Questions of the complete benchmark."""
        return self.n + self.missing.questions

    @property
    def decided(self) -> bool:
        """True if no verdict depends on the state of the machine or of a judge."""
        return not any(self.verdicts.get(kind.value) for kind in UNDECIDED)

    def document(self) -> dict[str, Any]:
        """The result as JSON; values that are not finite are None."""
        return dict(known(dataclasses.asdict(self)))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "EvalResult":
        """The inverse of `document`."""
        low, high = document["ci95"]
        values: dict[str, Any] = {
            **document,
            "ci95": (_number(low), _number(high)),
            "missing": MissingCounts(**document["missing"]),
            "pass_at_k": {int(k): value for k, value in document["pass_at_k"].items()},
            "missing_ids": tuple(document["missing_ids"]),
        }
        return cls(**{key: _number(value) for key, value in values.items()})


def grade(verifier: Verifier, task: Task, responses: Sequence[StoredResponse]) -> dict[Key, Verdict]:
    """A verdict on each response."""
    verdicts = verifier.verify(answers_of(task, responses), task.grading)
    return {response.key: verdict for response, verdict in zip(responses, verdicts, strict=True)}


def answers_of(task: Task, responses: Sequence[StoredResponse]) -> list[Answer]:
    """The responses with the questions and golds that they are graded against."""
    questions = {question.id: question for question in task.questions}
    return [Answer(r.text, questions[r.id].gold, questions[r.id].text) for r in responses]


def grading_hash(verifier: Verifier, task: Task) -> str:
    """Hash of everything but the response that a verdict depends on."""
    parts = (verifier.version, task.grading, task.fingerprint)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def score(part: TaskResponses, pass_at: Sequence[int] = ()) -> EvalResult:
    """Compute the result from the existing responses; missing questions and responses are counted, not scored."""
    task, responses = part.task, part.responses
    correct = part.correct()  # [Q, k]
    undecided = part.undecided()  # [Q, k]
    graded = ~np.isnan(correct)  # [Q, k]
    existing = [key for key in task.keys if key in responses]
    verdicts = [part.verdicts[key] for key in existing if key in part.verdicts]
    confidence = part.column(_confidence)  # [Q, k]
    tokens = part.column(lambda response: math.nan if response.tokens is None else len(response.tokens))
    missing = MissingCounts(
        questions=len(task.available) - int(graded.any(-1).sum()),
        responses=len(task.keys) - len(existing),
        ungraded=len(existing) - int(graded.sum()),
        unknown=part.unknown,
    )
    return EvalResult(
        bench=task.name,
        title=task.title,
        n=int(graded.any(-1).sum()),
        k=task.k,
        avg_at_k=statistics.avg_at_k(correct),
        stderr=statistics.stderr(correct),
        ci95=statistics.interval(correct),
        verdicts=count_verdicts(verdicts),
        undecided=int(undecided.sum()),
        upper_bound=statistics.avg_at_k(correct + undecided),
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


def compare(
    parts: Sequence[TaskResponses], others: Mapping[str, Mapping[Key, StoredResponse]], verifier: Verifier
) -> dict[str, statistics.PairedDifference]:
    """Accuracy minus that of the other evaluation, by the name of each common benchmark.

    Responses to the same questions are paired, and both sides are graded in the same way.
    """
    found = {}
    for part in parts:
        if responses := others.get(part.task.name):
            task = dataclasses.replace(part.task, k=1 + max(index for _, index in responses))
            answered = [responses[key] for key in task.keys if key in responses]
            other = TaskResponses(task, responses, grade(verifier, task, answered))
            found[task.name] = statistics.paired_comparison(part.correct(), other.correct())
    return found


def _value(verdict: Verdict | None) -> float:
    if verdict is None or not (verdict.decided or verdict.incomparable):
        return math.nan
    return float(verdict.correct)


def _confidence(response: StoredResponse) -> float:
    """Log of the mean token probability, as in training."""
    return math.log(response.mean_prob) if response.mean_prob else math.nan


def _cut_off(response: StoredResponse) -> float:
    return math.nan if response.finish_reason is None else float(response.finish_reason == "length")


def _pass_at_k(correct: Array, requested: Sequence[int]) -> dict[int, float]:
    """For the requested k; by default for the powers of two up to the responses that every question has."""
    counts = (~np.isnan(correct)).sum(-1)
    fewest = int(min(counts[counts > 0], default=0))
    ks = requested or [2**power for power in range(fewest.bit_length())]
    return {k: statistics.pass_at_k(correct, k) for k in ks if k <= fewest}


def _maj_at_k(part: TaskResponses, correct: Array) -> float:
    """All correct answers count as one answer; wrong answers are equal if their text is."""
    answers = [[_vote(part.verdicts.get(key)) for key in row] for row in part.task.grid]
    return statistics.maj_at_k(answers, correct)


def _vote(verdict: Verdict | None) -> tuple[bool, str] | None:
    if verdict is None or verdict.extracted is None:
        return None
    return verdict.correct, "" if verdict.correct else " ".join(verdict.extracted.split()).casefold()


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: Any) -> Any:
    """The inverse of `known`."""
    return math.nan if value is None else value
