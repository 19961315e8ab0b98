"""Results in lm-evaluation-harness's layout, so that what reads its files reads ours.

Written to FOLDER/MODEL/results_DATE.json, and beside it samples_BENCH_DATE.jsonl for each benchmark, a line a question.
Shares are from 0 to 1 there, not percent.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

METRIC = "exact_match"
FILTER = "none"
WITHHELD = "(withheld: the benchmark's authors ask that its questions are not shown)"


@dataclass(frozen=True)
class ExportedQuestion:
    """One question and its responses; `responses`, `answers` and `correct` have one entry a response."""

    id: str
    prompt: str
    """As the model read it."""
    target: str
    responses: tuple[str, ...]
    answers: tuple[str | None, ...]
    """What was extracted; None where there was no final answer."""
    correct: tuple[bool, ...]


@dataclass(frozen=True)
class ExportedBench:
    """One benchmark's result."""

    bench: str
    title: str
    version: str
    count: int
    """Questions of the whole benchmark."""
    n: int
    """Questions of this result."""
    k: int
    avg_at_k: float
    """Percent."""
    stderr: float
    """Percent; NaN where there is none."""
    questions: tuple[ExportedQuestion, ...]
    generation: dict[str, Any] = field(default_factory=dict)
    """Sampling settings: temperature, top_p, max_gen_toks, ..."""
    template: str = ""
    confidential: bool = False
    """Neither prompts nor responses, which quote them, are written."""


def export_lm_eval(
    benches: Sequence[ExportedBench], model: str, folder: Path, date: datetime, seconds: float = math.nan
) -> Path:
    """Write the files of one evaluation of `model`; returns the results file. Raises OSError."""
    stamp = date.isoformat().replace(":", "-")
    name = re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
    into = folder / name
    into.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for bench in benches:
        samples = [_sample(bench, number, question) for number, question in enumerate(bench.questions)]
        hashes[bench.bench] = _hash("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples))
        lines = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
        (into / f"samples_{bench.bench}_{stamp}.jsonl").write_text(lines, encoding="utf-8", errors="replace")
    document = _document(benches, model) | {
        "date": date.timestamp(),
        "task_hashes": hashes,
        "model_source": "icpo",
        "model_name": model,
        "model_name_sanitized": name,
        "total_evaluation_time_seconds": None if math.isnan(seconds) else str(seconds),
    }
    path = into / f"results_{stamp}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return path


def _document(benches: Sequence[ExportedBench], model: str) -> dict[str, Any]:
    partial = [bench.n for bench in benches if bench.n < bench.count]
    return {
        "results": {bench.bench: _result(bench) for bench in benches},
        "group_subtasks": {},
        "configs": {bench.bench: _config(bench) for bench in benches},
        "versions": {bench.bench: bench.version for bench in benches},
        "n-shot": {bench.bench: 0 for bench in benches},
        "higher_is_better": {bench.bench: {METRIC: True} for bench in benches},
        "n-samples": {bench.bench: {"original": bench.count, "effective": bench.n} for bench in benches},
        "config": {
            "model": "icpo",
            "model_args": f"pretrained={model}",
            "limit": max(partial) if partial else None,
        },
    }


def _result(bench: ExportedBench) -> dict[str, Any]:
    return {
        "name": bench.bench,
        "alias": bench.title,
        "sample_len": bench.n,
        f"{METRIC},{FILTER}": _share(bench.avg_at_k),
        f"{METRIC}_stderr,{FILTER}": _share(bench.stderr),
    }


def _share(percent: float) -> float | str:
    return "N/A" if math.isnan(percent) else percent / 100


def _config(bench: ExportedBench) -> dict[str, Any]:
    return {
        "task": bench.bench,
        "task_alias": bench.title,
        "output_type": "generate_until",
        "generation_kwargs": bench.generation,
        "repeats": bench.k,
        "num_fewshot": 0,
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": bench.version, "template": bench.template},
    }


def _sample(bench: ExportedBench, number: int, question: ExportedQuestion) -> dict[str, Any]:
    """One line of the samples file: k responses to one request."""
    prompt = WITHHELD if bench.confidential else question.prompt
    responses = [WITHHELD for _ in question.responses] if bench.confidential else list(question.responses)
    document = {"id": question.id, "question": prompt, "answer": question.target}
    return {
        "doc_id": number,
        "doc": document,
        "target": question.target,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": bench.generation}},
        "resps": [responses],
        "filtered_resps": ["" if answer is None else answer for answer in question.answers],
        "filter": FILTER,
        "metrics": [METRIC],
        "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(question.prompt),
        "target_hash": _hash(question.target),
        METRIC: sum(question.correct) / len(question.correct),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
