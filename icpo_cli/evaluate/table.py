"""The results of an evaluation as rows: for the terminal, for files, for MLflow and as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from icpo_cli.data.benchmarks import GROUPS
from icpo_cli.evaluate.score import Part, Result
from icpo_cli.records import Verdict

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
GROUP_TITLES = {"general": "General", "math": "Math"}


def rows_of(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One a benchmark, then one for each group that is there as a whole. Partial ones say so."""
    rows = [_row(result) for result in results]
    for group, mean in group_means(results).items():
        partial = any(result.partial for result in results if result.bench in GROUPS[group])
        rows.append((GROUP_TITLES[group], "", _percent(mean), *[""] * (len(HEADERS) - 4), "partial" if partial else ""))
    return rows


def group_means(results: Sequence[Result]) -> dict[str, float]:
    """Means over the benchmarks of General and Math, percent; only of groups all of whose benchmarks are there."""
    found = {result.bench: result.avg_at_k for result in results}
    return {
        group: sum(found[bench] for bench in GROUPS[group]) / len(GROUPS[group])
        for group in GROUP_TITLES
        if all(bench in found for bench in GROUPS[group])
    }


def result_text(result: Result) -> str:
    """In one line."""
    of = f"{result.n:,} of {questions_of(result):,}" if result.partial else f"{result.n:,}"
    return f"{result.title} {_percent(result.avg_at_k)} % ± {_percent(result.stderr)} ({of} questions, avg@{result.k})"


def result_json(result: Result) -> dict[str, Any]:
    """Values that are not finite are null."""
    fields = {key: _finite(value) for key, value in asdict(result).items()}
    fields["pass_at_k"] = {str(k): _finite(value) for k, value in result.pass_at_k.items()}
    fields["ci95"] = [_finite(value) for value in result.ci95]
    fields["missing_ids"] = list(result.missing_ids)
    return fields


def metrics_of(results: Sequence[Result]) -> dict[str, float]:
    """Under the names that MLflow has them by; what was not measured is left out."""
    metrics: dict[str, float] = {}
    for result in results:
        prefix = f"eval/{result.bench}"
        for name in PLAIN:
            metrics[f"{prefix}/{name}"] = float(getattr(result, name))
        metrics[f"seconds/eval_{result.bench}"] = result.seconds
        metrics[f"{prefix}/ci95_low"], metrics[f"{prefix}/ci95_high"] = result.ci95
        metrics |= {f"{prefix}/pass_at_{k}": value for k, value in result.pass_at_k.items()}
        metrics |= {f"{prefix}/verdict/{kind}": float(count) for kind, count in result.verdicts.items()}
        metrics |= {f"{prefix}/missing/{what}": float(count) for what, count in asdict(result.missing).items()}
    metrics |= {f"eval/{group}/avg_at_k": mean for group, mean in group_means(results).items()}
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


PLAIN = (
    "avg_at_k",
    "stderr",
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


def response_rows(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """One a response, questions in order. Without the questions' texts, which some authors ask not to show."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        golds = {question.id: question.gold.answer for question in part.task.questions}
        for key in part.task.keys:
            if key in part.responses:
                row = {"bench": part.task.name, **asdict(part.responses[key]), "gold": golds[key[0]]}
                rows.append(row | _verdict_columns(part.verdicts.get(key)))
    return rows


def _verdict_columns(verdict: Verdict | None) -> dict[str, str | None]:
    if verdict is None:
        return dict.fromkeys(("verdict", "extracted", "rule", "reason"))
    return {
        "verdict": verdict.kind.value,
        "extracted": verdict.extracted,
        "rule": verdict.rule,
        "reason": verdict.reason,
    }


def _row(result: Result) -> tuple[str, ...]:
    whole = questions_of(result)
    return (
        result.title,
        f"{result.n:,} of {whole:,}" if result.n < whole else f"{whole:,}",
        _average(result),
        _percent(result.stderr),
        "-" if math.isnan(result.ci95[0]) else f"{_percent(result.ci95[0])} to {_percent(result.ci95[1])}",
        _percent(result.maj_at_k),
        f"{_percent(result.no_answer_share)} %",
        "-" if math.isnan(result.cut_off_share) else f"{_percent(result.cut_off_share)} %",
        _percent(result.response_tokens_mean),
        partial_text(result),
    )


def _average(result: Result) -> str:
    """Under its k; where responses are missing, under as many as there are."""
    lacks = result.n > 0 and result.missing.responses + result.missing.ungraded > 0
    return f"{'fewer than ' if lacks else ''}@{result.k} {_percent(result.avg_at_k)}"


def questions_of(result: Result) -> int:
    """Questions of the whole benchmark."""
    return result.n + result.missing.questions


def partial_text(result: Result) -> str:
    """What makes it partial, in words; empty for a whole one."""
    words: Mapping[str, int] = {
        "questions missing": result.missing.questions,
        "responses missing": result.missing.responses,
        "not graded": result.missing.ungraded,
        "of unknown questions": result.missing.unknown,
    }
    found = ", ".join(f"{count:,} {what}" for what, count in words.items() if count)
    return f"partial: {found}" if found else ""


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
