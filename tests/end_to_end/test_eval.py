"""`icpo eval` through the real command: real vLLM and MLflow on a tiny model that adds single digits."""

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
from pyarrow import parquet

from icpo_cli.runs.journal import Journal
from tests.fork_server import ForkServer

pytestmark = pytest.mark.engine
KILLER = Path(__file__).with_name("killed_eval.py")


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty sums as AIME's data."""
    folder = tmp_path_factory.mktemp("sums")
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Calculate {n // 6} + {n % 6}."}],
            "reward_model": {"ground_truth": str(n // 6 + n % 6)},
        }
        for n in range(30)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "AIME2024_Avg16.parquet")
    return folder


@pytest.fixture(scope="module")
def arguments(lab_model: Path, sums: Path) -> list[str]:
    settings = {
        "eval.data_dir": sums,
        "eval.k": 4,
        "eval.max_response_tokens": 32,
        "eval.engine.kv_cache_gib": 1,
        "eval.engine.max_num_seqs": 8,  # so that it takes some hundred steps
        "data.template": "plain",
    }
    return ["--bench", "aime24", "--model", str(lab_model), *(f"{key}={value}" for key, value in settings.items())]


def stored(folder: Path) -> list[dict[str, Any]]:
    """The lines of the only store."""
    [path] = (folder / "evals" / "stored").glob("*/responses.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The results, without seconds."""
    return [{key: value for key, value in result.items() if key != "seconds"} for result in document["results"]]


@pytest.fixture(scope="module")
def undisturbed(
    arguments: list[str], fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Folder and document of an evaluation that was not interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = fork_server.run("icpo_cli", ["eval", *arguments, "--json"], folder)
    assert done.status == 0, done.err
    return folder, done.document


def test_a_model_is_scored(undisturbed: tuple[Path, dict[str, Any]]) -> None:
    folder, document = undisturbed
    [result] = document["results"]
    assert (result["n"], result["k"], result["partial"]) == (30, 4, False)
    assert 20 < result["avg_at_k"] < 90  # the lab's model is more often right than wrong
    assert result["ci95"][0] < result["avg_at_k"] < result["ci95"][1]
    assert sum(result["verdicts"].values()) == 120
    assert set(result["pass_at_k"]) == {"1", "2", "4"}
    assert result["pass_at_k"]["1"] == pytest.approx(result["avg_at_k"])
    assert result["auroc"] > 0.5
    seeds = {line["seed"] for line in stored(folder)}
    assert len(seeds) == 120


def test_killed_at_random_points_ten_times_its_result_is_equal(
    undisturbed: tuple[Path, dict[str, Any]],
    arguments: list[str],
    tmp_path: Path,
    icpo: Callable,
    fork_server: ForkServer,
) -> None:
    draw = random.Random(4)
    moments = [
        ("step", draw.randint(1, 16)) if draw.random() < 0.6 else ("write", draw.randint(1, 8)) for _ in range(10)
    ]
    counts = []
    for moment, count in moments:
        killed = fork_server.run(str(KILLER), [moment, str(count), *arguments], tmp_path)
        assert killed.status == -signal.SIGKILL, killed.err
        texts = [path.read_text() for path in tmp_path.glob("evals/stored/*/responses.jsonl")]
        counts.append(sum(text.count("\n") for text in texts))
    assert counts == sorted(counts) and 0 < counts[-1] < 120
    resumed = icpo("eval", *arguments, "--json")
    assert resumed.status == 0, resumed.err
    lines = stored(tmp_path)
    assert len({(line["id"], line["index"]) for line in lines}) == len(lines)  # no response is stored twice

    folder, document = undisturbed
    by_key = [{(line["id"], line["index"]): line for line in found} for found in (lines, stored(folder))]
    assert by_key[0] == by_key[1]
    assert numbers(resumed.document) == numbers(document)


def test_rescored_and_given_as_a_file_results_are_equal(
    undisturbed: tuple[Path, dict[str, Any]], arguments: list[str], icpo: Callable
) -> None:
    folder, document = undisturbed
    again = icpo("eval", "--rescore", document["run_id"][:8], "--json", cwd=folder)
    assert again.status == 0, again.err
    assert numbers(again.document) == numbers(document)
    assert again.document["run_id"] != document["run_id"]

    texts: dict[str, list[str]] = {}
    for line in sorted(stored(folder), key=lambda line: line["index"]):
        texts.setdefault(line["id"], []).append(line["text"])
    lines = [json.dumps({"id": name, "responses": responses}) for name, responses in texts.items()]
    (folder / "given.jsonl").write_text("\n".join(lines))
    settings = [argument for argument in arguments if "=" in argument]
    given = icpo("eval", "--bench", "aime24", "--responses", "given.jsonl", *settings, "--json", cwd=folder)
    assert given.status == 0, given.err
    [ours], [theirs] = numbers(given.document), numbers(document)
    of_tokens = {"response_tokens_mean", "cut_off_share", "confidence_correct", "confidence_wrong", "auroc"}
    assert {key for key in ours if ours[key] != theirs[key]} == of_tokens
    assert all(ours[key] is None for key in of_tokens)


def test_responses_of_a_limit_and_a_smaller_k_are_reused(
    undisturbed: tuple[Path, dict[str, Any]], arguments: list[str], tmp_path: Path, icpo: Callable
) -> None:
    first = icpo("eval", *arguments, "eval.k=2", "--limit", "10", "--json")
    assert first.status == 0, first.err
    [result] = first.document["results"]
    assert (result["n"], result["partial"], result["missing"]["questions"]) == (10, True, 20)
    few = stored(tmp_path)
    assert len(few) == 20
    whole = icpo("eval", *arguments, "--json")
    assert stored(tmp_path)[:20] == few
    assert "120 responses, 20 of them stored" in whole.err
    assert numbers(whole.document) == numbers(undisturbed[1])
    nothing_left = icpo("eval", *arguments, "--json")
    assert "loading the model" not in nothing_left.err
    assert numbers(nothing_left.document) == numbers(undisturbed[1])


def test_data_parallel_engines_give_the_result_of_one(
    undisturbed: tuple[Path, dict[str, Any]], arguments: list[str], tmp_path: Path, icpo: Callable
) -> None:
    done = icpo("eval", *arguments, "eval.engine.data_parallel=2", "--json")
    assert done.status == 0, done.err
    assert numbers(done.document) == numbers(undisturbed[1])
    by_key = [{(line["id"], line["index"]): line for line in stored(folder)} for folder in (tmp_path, undisturbed[0])]
    assert by_key[0] == by_key[1]


def test_sharded_engines_side_by_side_answer_and_end_with_a_killed_command(
    arguments: list[str], tmp_path: Path, fork_server: ForkServer
) -> None:
    """An engine process of two shards has processes of its own."""
    engines = ["eval.engine.data_parallel=2", "eval.engine.tensor_parallel=2", "--limit", "4"]
    process = fork_server.start("icpo_cli", ["eval", *arguments, *engines, "--json"], tmp_path)
    while process.poll() is None and not any(stored(tmp_path) if list(tmp_path.glob("evals/stored/*/r*")) else ()):
        time.sleep(0.02)
    descendants = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    _, err = process.communicate(timeout=60)
    assert stored(tmp_path), err
    assert {each.name() for each in descendants if each.is_running()} or process.returncode == 0
    _, running = psutil.wait_procs(descendants, timeout=60)
    assert running == []


def test_a_training_run_evaluates_benchmarks_and_is_the_parent_of_its_evaluations(
    lab_config: Path, arguments: list[str], tmp_path: Path, icpo: Callable
) -> None:
    from mlflow.tracking import MlflowClient

    settings = [argument for argument in arguments if "=" in argument and "template" not in argument]
    in_loop = ["eval.benchmarks=[aime24]", "eval.limit=5", "train.iterations=1"]
    trained = icpo("train", str(lab_config), *settings, *in_loop, "--json")
    assert trained.status == 0, trained.err
    run = trained.document["run_id"]
    entries = list(Journal(tmp_path / "runs" / run / "journal.jsonl").entries())
    asked = {entry.step: entry.metrics for entry in entries if "eval/aime24/avg_at_k" in entry.metrics}
    assert set(asked) == {0, 1}
    assert all(metrics["eval/aime24/n"] == 5 and metrics["eval/aime24/partial"] == 1 for metrics in asked.values())
    assert "after 1 iterations: AIME24" in trained.err

    done = icpo("eval", "--bench", "aime24", "--model", run[:8], *settings, "eval.k=2", "--json")
    assert done.status == 0, done.err
    assert done.document["model"] == f"{run}/iteration-00001"
    assert done.document["results"][0]["avg_at_k"] > 20  # with the run's own template, plain
    store = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    child = store.get_run(done.document["run_id"])
    assert child.data.tags["mlflow.parentRunId"] == run
    assert child.info.status == "FINISHED"
    assert child.data.metrics["eval/aime24/avg_at_k"] == done.document["results"][0]["avg_at_k"]
    names = {item.path for item in store.list_artifacts(child.info.run_id)}
    assert {"responses.parquet", "result.json", "table.md", "config.yaml"} <= names


def test_a_signal_keeps_stored_responses_and_prints_how_to_continue(
    arguments: list[str], tmp_path: Path, fork_server: ForkServer
) -> None:
    process = fork_server.start("icpo_cli", ["eval", *arguments, "--json"], tmp_path)
    while process.poll() is None and not list(tmp_path.glob("evals/stored/*/responses.jsonl")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the evaluation was over before the signal came")
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "the same command continues from there" in err
    [result] = json.loads(out)["results"]
    assert result["partial"] and result["missing"]["responses"] == 120 - len(stored(tmp_path))
