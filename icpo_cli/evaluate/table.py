"""Results as rows of a table, as metrics, and responses as rows of a parquet file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from icpo_cli.data.benchmarks import GROUP_TITLES, GROUPS
from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import EvalResult, MissingCounts, TaskResponses
from icpo_cli.records import VerdictKind, verdict_columns
from icpo_cli.text import number

HEADERS = (
    "benchmark",
    "questions",
    "Avg@k",
    "± stderr",
    "95 % interval",
    "maj@k",
    "no answer",
    "cut off",
    "tokens",
    "",
)
METRICS = (
    "avg_at_k",
    "stderr",
    "undecided",
    "upper_bound",
    "maj_at_k",
    "n",
    "k",
    "partial",
    "response_tokens_mean",
    "no_answer_share",
    "cut_off_share",
    "seed_spread",
    "question_spread",
    "confidence_correct",
    "confidence_wrong",
    "auroc",
)
"""Fields of a result that are logged under their own names."""


def rows_of(results: Sequence[EvalResult]) -> list[tuple[str, ...]]:
    """One row per benchmark, then one per group whose benchmarks are all present. Partial rows are marked."""
    rows = [_row(result) for result in results]
    for group, mean in group_means(results).items():
        partial = any(result.partial for result in results if result.bench in GROUPS[group])
        rows.append((GROUP_TITLES[group], "", number(mean), *[""] * (len(HEADERS) - 4), "partial" if partial else ""))
    return rows


def group_means(results: Sequence[EvalResult]) -> dict[str, float]:
    """Mean accuracy over the benchmarks of General and of Math, percent; only if all its benchmarks are present."""
    found = {result.bench: result.avg_at_k for result in results}
    return {
        group: sum(found[bench] for bench in GROUPS[group]) / len(GROUPS[group])
        for group in GROUP_TITLES
        if all(bench in found for bench in GROUPS[group])
    }


def result_text(result: EvalResult) -> str:
    """The result in one line."""
    count = f"{result.n:,} of {result.questions:,}" if result.partial else f"{result.n:,}"
    return f"{result.title} {number(result.avg_at_k)} % ± {number(result.stderr)} ({count} questions, avg@{result.k})"


def metrics_of(results: Sequence[EvalResult]) -> dict[str, float]:
    """Metrics by their MLflow names; NaN values are left out."""
    metrics: dict[str, float] = {}
    for result in results:
        prefix = f"eval/{result.bench}"
        for name in METRICS:
            metrics[f"{prefix}/{name}"] = float(getattr(result, name))
        metrics[f"seconds/eval_{result.bench}"] = result.seconds
        metrics[f"{prefix}/ci95_low"], metrics[f"{prefix}/ci95_high"] = result.ci95
        metrics |= {f"{prefix}/pass_at_{k}": value for k, value in result.pass_at_k.items()}
        metrics |= {f"{prefix}/verdict/{kind}": float(count) for kind, count in result.verdicts.items()}
        metrics |= {f"{prefix}/missing/{what}": float(count) for what, count in asdict(result.missing).items()}
    metrics |= {f"eval/{group}/avg_at_k": mean for group, mean in group_means(results).items()}
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def logged_result(task: Task, metrics: Mapping[str, float]) -> EvalResult | None:
    """The part of a task's result that is in the metrics; None if they have none."""
    prefix = f"eval/{task.name}"
    if f"{prefix}/avg_at_k" not in metrics:
        return None
    # Earlier versions logged less of the held-out questions, and their seconds as seconds/eval.
    seconds = metrics.get(f"seconds/eval_{task.name}", metrics.get("seconds/eval", 0.0))
    counts = {kind.value: metrics.get(f"{prefix}/verdict/{kind}") for kind in VerdictKind}
    missing = {each.name: int(metrics.get(f"{prefix}/missing/{each.name}", 0)) for each in fields(MissingCounts)}
    return EvalResult(
        bench=task.name,
        title=task.title,
        n=int(metrics.get(f"{prefix}/n", len(task.questions))),
        k=task.k,
        avg_at_k=metrics[f"{prefix}/avg_at_k"],
        stderr=metrics.get(f"{prefix}/stderr", math.nan),
        verdicts={kind: int(count) for kind, count in counts.items() if count is not None},
        missing=MissingCounts(**missing),
        response_tokens_mean=metrics.get(f"{prefix}/response_tokens_mean", math.nan),
        seconds=seconds,
    )


def response_rows(parts: Sequence[TaskResponses]) -> list[dict[str, Any]]:
    """One row per response, in the order of the questions. Without the questions' texts, which may be confidential."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        golds = {question.id: question.gold.answer for question in part.task.questions}
        for key in part.task.keys:
            if key in part.responses:
                row = {"bench": part.task.name, **asdict(part.responses[key]), "gold": golds[key[0]]}
                rows.append(row | verdict_columns(part.verdicts.get(key)))
    return rows


def _row(result: EvalResult) -> tuple[str, ...]:
    questions = result.questions
    return (
        result.title,
        f"{result.n:,} of {questions:,}" if result.n < questions else f"{questions:,}",
        _average(result),
        number(result.stderr),
        "-" if math.isnan(result.ci95[0]) else f"{number(result.ci95[0])} to {number(result.ci95[1])}",
        number(result.maj_at_k),
        f"{number(result.no_answer_share)} %",
        "-" if math.isnan(result.cut_off_share) else f"{number(result.cut_off_share)} %",
        number(result.response_tokens_mean),
        ", ".join(filter(None, [f"{result.undecided:,} undecided" if result.undecided else "", partial_text(result)])),
    )


def _average(result: EvalResult) -> str:
    """Accuracy with its k, and with its upper bound if answers are undecided; marked if questions lack responses."""
    incomplete = result.n > 0 and result.missing.responses + result.missing.ungraded > 0
    bound = f" to {number(result.upper_bound)}" if result.undecided else ""
    return f"{'fewer than ' if incomplete else ''}@{result.k} {number(result.avg_at_k)}{bound}"


def partial_text(result: EvalResult) -> str:
    """The reasons why the result is partial; empty if it is not."""
    words: Mapping[str, int] = {
        "questions missing": result.missing.questions,
        "responses missing": result.missing.responses,
        "not graded": result.missing.ungraded,
        "of unknown questions": result.missing.unknown,
    }
    found = ", ".join(f"{count:,} {what}" for what, count in words.items() if count)
    return f"partial: {found}" if found else ""
