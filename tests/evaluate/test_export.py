"""The layout as lm-evaluation-harness's own readers take it: file names, keys, shares."""

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from icpo_cli.evaluate.export import ExportedBench, ExportedQuestion, export_lm_eval

DATE = datetime(2026, 1, 2, 3, 4, 5, 678)
QUESTIONS = (
    ExportedQuestion("m/0", "What is 1+1?", "2", ("<answer>2</answer>", "two"), ("2", None), (True, False)),
    ExportedQuestion("m/1", "What is 1+2?", "3", ("3", "3"), ("3", "3"), (True, True)),
)
BENCH = ExportedBench("math500", "MATH-500", "1", 500, 2, 2, 75.0, 25.0, QUESTIONS, {"temperature": 1.0}, "r1")


def export(tmp_path: Path, *benches: ExportedBench) -> tuple[dict, list[dict]]:
    path = export_lm_eval(benches, "runs/my-model", tmp_path, DATE)
    samples = path.parent / f"samples_{benches[0].bench}_2026-01-02T03-04-05.000678.jsonl"
    assert path.name == "results_2026-01-02T03-04-05.000678.json"
    assert path.parent == tmp_path / "runs__my-model"
    return json.loads(path.read_text()), [json.loads(line) for line in samples.read_text().splitlines()]


def test_results_are_shares_under_the_harness_s_keys(tmp_path: Path) -> None:
    document, _ = export(tmp_path, BENCH)
    assert document["results"]["math500"] == {
        "name": "math500",
        "alias": "MATH-500",
        "sample_len": 2,
        "exact_match,none": 0.75,
        "exact_match_stderr,none": 0.25,
    }
    assert document["n-samples"] == {"math500": {"original": 500, "effective": 2}}
    assert document["versions"] == {"math500": "1"}
    assert document["higher_is_better"]["math500"]["exact_match"] is True
    assert document["config"]["model_args"] == "pretrained=runs/my-model"
    assert document["config"]["limit"] == 2
    assert document["configs"]["math500"]["metric_list"][0]["metric"] == "exact_match"
    assert document["configs"]["math500"]["repeats"] == 2
    assert set(document["task_hashes"]) == {"math500"}


def test_samples_hold_k_responses_a_question_and_their_mean(tmp_path: Path) -> None:
    _, samples = export(tmp_path, BENCH)
    assert [sample["exact_match"] for sample in samples] == [0.5, 1.0]
    first = samples[0]
    assert first["doc"] == {"id": "m/0", "question": "What is 1+1?", "answer": "2"}
    assert first["arguments"]["gen_args_0"] == {"arg_0": "What is 1+1?", "arg_1": {"temperature": 1.0}}
    assert first["resps"] == [["<answer>2</answer>", "two"]]
    assert (first["doc_id"], first["target"], first["filtered_resps"], first["filter"]) == (0, "2", ["2", ""], "none")
    assert len(first["doc_hash"]) == len(first["prompt_hash"]) == len(first["target_hash"]) == 64
    mean = sum(sample["exact_match"] for sample in samples) / len(samples)
    assert mean == pytest.approx(BENCH.avg_at_k / 100)


def test_a_whole_benchmark_has_no_limit_and_nan_is_not_written(tmp_path: Path) -> None:
    document, _ = export(tmp_path, replace(BENCH, count=2, stderr=math.nan))
    assert document["config"]["limit"] is None
    assert document["results"]["math500"]["exact_match_stderr,none"] == "N/A"


def test_a_confidential_benchmark_leaves_no_text(tmp_path: Path) -> None:
    _, samples = export(tmp_path, replace(BENCH, bench="gpqa", confidential=True))
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    assert "What is" not in written and "two" not in written
    assert samples[0]["prompt_hash"] != samples[1]["prompt_hash"]


def test_what_a_model_wrote_stays_one_line(tmp_path: Path) -> None:
    odd = replace(QUESTIONS[0], responses=("a\nb\u2028c\x1b[31m", "\ud800"))
    path = export_lm_eval([replace(BENCH, questions=(odd,))], "m", tmp_path, DATE)
    [samples] = path.parent.glob("samples_*.jsonl")
    lines = samples.read_bytes().split(b"\n")
    assert len(lines) == 2 and json.loads(lines[0])["resps"][0][0] == "a\nb\u2028c\x1b[31m"
