"""The layout that lm-evaluation-harness's own readers expect: file names, keys, shares."""

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.evaluate.export import Scored, export_lm_eval
from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import TaskResponses, score
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.grading.verifier import Grading
from icpo_cli.records import Gold, Question, RuleName, Verdict, VerdictKind

DATE = datetime(2026, 1, 2, 3, 4, 5, 678)
QUESTIONS = (Question("m/0", "What is 1+1?", Gold("2")), Question("m/1", "What is 1+2?", Gold("3")))
MORE = tuple(Question(f"m/{n}", "What is 0?", Gold("0")) for n in range(2, 500))
TEXTS = {("m/0", 0): "<answer>2</answer>", ("m/0", 1): "two", ("m/1", 0): "3", ("m/1", 1): "3"}
VERDICTS = {key: Verdict(VerdictKind.CORRECT, "2" if key[0] == "m/0" else "3", RuleName.EXACT) for key in TEXTS}
VERDICTS[("m/0", 1)] = Verdict(VerdictKind.NO_ANSWER, None, RuleName.AUTO)


def scored(name: str = "math500", available: int = 500, confidential: bool = False) -> Scored:
    """Two of the benchmark's questions, two responses each, one of them without an answer."""
    task = Task(
        name=name,
        title="MATH-500",
        version="1",
        available=(QUESTIONS + MORE)[:available],
        questions=QUESTIONS,
        k=2,
        grading=Grading(),
        source="here",
        fingerprint="",
        own_form=lambda question: question.text,
        confidential=confidential,
    )
    responses = {key: StoredResponse(*key, text) for key, text in TEXTS.items()}
    part = TaskResponses(task, responses, VERDICTS)
    return part, score(part)


BENCH = scored()


def export(tmp_path: Path, *benches: Scored) -> tuple[dict, list[dict]]:
    path = export_lm_eval(benches, "runs/my-model", load_config([]), tmp_path, DATE)
    samples = path.parent / f"samples_{benches[0][0].task.name}_2026-01-02T03-04-05.000678.jsonl"
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


def test_samples_hold_k_responses_per_question_and_their_mean(tmp_path: Path) -> None:
    _, samples = export(tmp_path, BENCH)
    assert [sample["exact_match"] for sample in samples] == [0.5, 1.0]
    first = samples[0]
    assert first["doc"] == {"id": "m/0", "question": "What is 1+1?", "answer": "2"}
    assert first["arguments"]["gen_args_0"] == {
        "arg_0": "What is 1+1?",
        "arg_1": {"temperature": 1.0, "max_gen_toks": 3072, "do_sample": True},
    }
    assert first["resps"] == [["<answer>2</answer>", "two"]]
    assert (first["doc_id"], first["target"], first["filtered_resps"], first["filter"]) == (0, "2", ["2", ""], "none")
    assert len(first["doc_hash"]) == len(first["prompt_hash"]) == len(first["target_hash"]) == 64
    mean = sum(sample["exact_match"] for sample in samples) / len(samples)
    assert mean == pytest.approx(BENCH[1].avg_at_k / 100)


def test_a_whole_benchmark_has_no_limit_and_nan_is_not_written(tmp_path: Path) -> None:
    whole = scored(available=2)
    document, _ = export(tmp_path, (whole[0], replace(whole[1], stderr=math.nan)))
    assert document["config"]["limit"] is None
    assert document["results"]["math500"]["exact_match_stderr,none"] == "N/A"


def test_a_confidential_benchmark_leaves_no_text(tmp_path: Path) -> None:
    _, samples = export(tmp_path, scored("gpqa", confidential=True))
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    assert "What is" not in written and "two" not in written
    assert samples[0]["prompt_hash"] != samples[1]["prompt_hash"]


def test_control_characters_stay_within_one_line(tmp_path: Path) -> None:
    part, result = BENCH
    texts = ["a\nb\u2028c\x1b[31m", "\ud800"]
    responses = {("m/0", index): StoredResponse("m/0", index, text) for index, text in enumerate(texts)}
    path = export_lm_eval([(replace(part, responses=responses), result)], "m", load_config([]), tmp_path, DATE)
    [samples] = path.parent.glob("samples_*.jsonl")
    lines = samples.read_bytes().split(b"\n")
    assert len(lines) == 2 and json.loads(lines[0])["resps"][0][0] == "a\nb\u2028c\x1b[31m"
