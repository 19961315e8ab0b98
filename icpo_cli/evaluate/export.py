"""Results in lm-evaluation-harness's layout, for tools that read its files.

FOLDER/MODEL/results_DATE.json, and samples_BENCH_DATE.jsonl for each benchmark, one line per question.
Shares are from 0 to 1 in these files, not percent.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.evaluate.plan import template_of
from icpo_cli.evaluate.score import EvalResult, TaskResponses
from icpo_cli.records import Question, Verdict

METRIC = "exact_match"
FILTER = "none"
WITHHELD = "(withheld: the benchmark's authors ask that its questions are not shown)"

Scored = tuple[TaskResponses, EvalResult]


def export_lm_eval(scored: Sequence[Scored], model: str, config: Config, folder: Path, date: datetime) -> Path:
    """Write the files of one evaluation of `model`; returns the path of the results file. Raises OSError."""
    stamp = date.isoformat().replace(":", "-")
    name = re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
    into = folder / name
    into.mkdir(parents=True, exist_ok=True)
    generation = {
        "temperature": config.eval.temperature,
        "max_gen_toks": config.eval.max_response_tokens,
        "do_sample": config.eval.temperature > 0,
    }
    hashes = {}
    for part, result in scored:
        samples = _samples(part, generation)
        hashes[result.bench] = _hash("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples))
        lines = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
        (into / f"samples_{result.bench}_{stamp}.jsonl").write_text(lines, encoding="utf-8", errors="replace")
    document = _document(scored, model, generation, template_of(config)) | {
        "date": date.timestamp(),
        "task_hashes": hashes,
        "model_source": "icpo",
        "model_name": model,
        "model_name_sanitized": name,
        "total_evaluation_time_seconds": str(sum(result.seconds for _, result in scored)),
    }
    path = into / f"results_{stamp}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return path


def _document(scored: Sequence[Scored], model: str, generation: Mapping[str, Any], template: str) -> dict[str, Any]:
    partial = [result.n for part, result in scored if result.n < len(part.task.available)]
    return {
        "results": {result.bench: _result(result) for _, result in scored},
        "group_subtasks": {},
        "configs": {result.bench: _config(part, generation, template) for part, result in scored},
        "versions": {result.bench: part.task.version for part, result in scored},
        "n-shot": {result.bench: 0 for _, result in scored},
        "higher_is_better": {result.bench: {METRIC: True} for _, result in scored},
        "n-samples": {
            result.bench: {"original": len(part.task.available), "effective": result.n} for part, result in scored
        },
        "config": {
            "model": "icpo",
            "model_args": f"pretrained={model}",
            "limit": max(partial) if partial else None,
        },
    }


def _result(result: EvalResult) -> dict[str, Any]:
    return {
        "name": result.bench,
        "alias": result.title,
        "sample_len": result.n,
        f"{METRIC},{FILTER}": _share(result.avg_at_k),
        f"{METRIC}_stderr,{FILTER}": _share(result.stderr),
    }


def _share(percent: float) -> float | str:
    return "N/A" if math.isnan(percent) else percent / 100


def _config(part: TaskResponses, generation: Mapping[str, Any], template: str) -> dict[str, Any]:
    return {
        "task": part.task.name,
        "task_alias": part.task.title,
        "output_type": "generate_until",
        "generation_kwargs": generation,
        "repeats": part.task.k,
        "num_fewshot": 0,
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": part.task.version, "template": template},
    }


def _samples(part: TaskResponses, generation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One sample for each question with a graded response."""
    samples: list[dict[str, Any]] = []
    for question, keys in zip(part.task.questions, part.task.grid, strict=True):
        graded = [key for key in keys if key in part.responses and key in part.verdicts]
        if graded:
            texts = [part.responses[key].text for key in graded]
            verdicts = [part.verdicts[key] for key in graded]
            samples.append(_sample(part, len(samples), question, texts, verdicts, generation))
    return samples


def _sample(
    part: TaskResponses,
    number: int,
    question: Question,
    texts: Sequence[str],
    verdicts: Sequence[Verdict],
    generation: Mapping[str, Any],
) -> dict[str, Any]:
    """One line of the samples file. Of a confidential benchmark neither questions nor responses are written."""
    confidential, target = part.task.confidential, question.gold.answer
    prompt = WITHHELD if confidential else question.text
    document = {"id": question.id, "question": prompt, "answer": target}
    return {
        "doc_id": number,
        "doc": document,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": generation}},
        "resps": [[WITHHELD if confidential else text for text in texts]],
        "filtered_resps": ["" if verdict.extracted is None else verdict.extracted for verdict in verdicts],
        "filter": FILTER,
        "metrics": [METRIC],
        "doc_hash": _hash(json.dumps(document, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(question.text),
        "target_hash": _hash(target),
        METRIC: sum(verdict.correct for verdict in verdicts) / len(verdicts),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
