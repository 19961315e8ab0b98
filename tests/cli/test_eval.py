"""`icpo eval` without an engine: given responses, earlier evaluations, plans and mistakes."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from icpo_cli.data.benchmarks import BENCHMARKS, load_benchmark

DATA = Path(os.environ.get("ICPO_DATA", Path(__file__).parents[3] / "shared" / "data"))
at_hand = pytest.mark.skipif(not DATA.is_dir(), reason="benchmark data not at hand: set ICPO_DATA")
AT_HAND = ["mmlu_pro", "theoremqa", "math500", "minerva", "aime24"]


def answering(answers: Sequence[str]) -> list[str]:
    return [f"<think> so it is </think> <answer> {answer} </answer>" for answer in answers]


def write_lines(path: Path, responses: dict[str, list[str]]) -> None:
    path.write_text("".join(json.dumps({"id": name, "responses": texts}) + "\n" for name, texts in responses.items()))


def golds(name: str) -> dict[str, str]:
    return {question.id: question.gold.answer for question in load_benchmark(name, DATA).questions}


@pytest.fixture
def score(tmp_path: Path, store_here: Path, icpo_here: Callable) -> Callable[..., dict[str, Any]]:
    """Evaluate given responses to one benchmark; returns its result."""

    def run(name: str, responses: dict[str, list[str]], *arguments: str) -> dict[str, Any]:
        write_lines(tmp_path / "given.jsonl", responses)
        settings = [f"eval.data_dir={DATA}", *arguments]
        done = icpo_here(
            "eval", "--bench", name, "--model", "label", "--responses", "given.jsonl", *settings, "--json", cwd=tmp_path
        )
        assert done.status == 0, done.err
        assert done.document["model"] == "label"
        [result] = done.document["results"]
        return result

    return run


@at_hand
@pytest.mark.parametrize("name", AT_HAND)
def test_perfect_responses_score_100(name: str, score: Callable) -> None:
    k = BENCHMARKS[name].k
    result = score(name, {question: answering([gold] * k) for question, gold in golds(name).items()})
    assert (result["avg_at_k"], result["partial"], result["k"]) == (100.0, False, k)
    assert result["verdicts"]["correct"] == result["n"] * k == BENCHMARKS[name].count * k
    assert result["ci95"][1] == pytest.approx(100.0) and result["ci95"][0] > 85
    assert result["no_answer_share"] == 0 and result["maj_at_k"] == 100.0


@at_hand
@pytest.mark.parametrize("name", AT_HAND)
def test_golds_shifted_by_one_question_score_at_chance(name: str, score: Callable) -> None:
    """The first 100 questions: grading/test_golds.py compares all golds with those of other questions."""
    known = dict(list(golds(name).items())[:100])
    ids, answers = list(known), list(known.values())
    shifted = dict(zip(ids, answers[1:] + answers[:1], strict=True))
    chance = 100 * sum(a == b for a, b in zip(known.values(), shifted.values(), strict=True)) / len(ids)
    given = {question: answering([answer]) for question, answer in shifted.items()}
    result = score(name, given, "eval.k=1", f"eval.limit={len(ids)}")
    # The rest are neighbours whose golds are equal in another notation.
    assert chance <= result["avg_at_k"] <= chance + 1.5


@at_hand
def test_half_right_scores_50_with_its_interval(score: Callable) -> None:
    known = golds("math500")
    right = {name: place % 2 == 0 for place, name in enumerate(known)}
    result = score(
        "math500", {name: answering([gold if right[name] else "no such thing"] * 2) for name, gold in known.items()}
    )
    assert result["avg_at_k"] == 50.0
    # Clustered: the two responses to a question are equal, so n is 500 questions, not 1,000 responses.
    assert result["stderr"] == pytest.approx(100 * 0.5 / 499**0.5)
    low, high = result["ci95"]
    assert 50 - low == pytest.approx(1.96 * result["stderr"], abs=0.5) == high - 50
    assert result["seed_spread"] == 0.0


@at_hand
def test_one_of_two_right_is_seed_spread_not_question_spread(score: Callable) -> None:
    result = score("aime24", {name: answering([gold, "no"]) for name, gold in golds("aime24").items()}, "eval.k=2")
    assert (result["avg_at_k"], result["stderr"], result["question_spread"]) == (50.0, 0.0, 0.0)
    assert result["seed_spread"] == pytest.approx(100 / 2**0.5)
    assert (result["pass_at_k"], result["maj_at_k"]) == ({"1": 50.0, "2": 100.0}, 50.0)


@pytest.fixture
def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with thirty sums as AIME's data: question aime24/rlpr/n has answer n."""
    rows = [
        {"prompt": [{"role": "user", "content": f"{n} + 0 = ?"}], "reward_model": {"ground_truth": str(n)}}
        for n in range(30)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "AIME2024_Avg16.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def right(*numbers: int) -> dict[str, list[str]]:
    return {f"aime24/rlpr/{n}": answering([str(n)]) for n in numbers}


GIVEN = ["--bench", "aime24", "--responses", "given.jsonl", "eval.data_dir=.", "eval.k=1"]


@pytest.mark.usefixtures("store_here")
def test_missing_and_unknown_questions_make_a_result_partial(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", {**right(*range(25)), "aime24/rlpr/99": ["x"], "other": ["y"]})
    document = icpo_here("eval", *GIVEN, "--json").document
    [result] = document["results"]
    assert (result["avg_at_k"], result["n"], result["partial"]) == (100.0, 25, True)
    assert result["missing"] == {"questions": 5, "responses": 5, "ungraded": 0, "unknown": 2}
    assert result["missing_ids"] == [f"aime24/rlpr/{n}" for n in range(25, 30)]
    assert document["unknown"] == {"aime24": ["aime24/rlpr/99", "other"]}
    shown = icpo_here("eval", *GIVEN).out
    assert "25 of 30" in shown and "AIME24 is partial: 5 questions missing, 5 responses missing" in shown
    assert "no responses to aime24/rlpr/25" in shown and "2 unknown ids: aime24/rlpr/99, other" in shown
    assert "partial: 5 questions missing" in (next(sums.glob("evals/*/table.md"))).read_text()


@pytest.mark.usefixtures("store_here")
def test_a_limit_makes_a_result_partial(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    [result] = icpo_here("eval", *GIVEN, "--limit", "10", "--json").document["results"]
    assert (result["n"], result["partial"], result["missing"]["questions"]) == (10, True, 20)
    assert result["missing"]["unknown"] == 0


@pytest.mark.usefixtures("store_here")
def test_an_earlier_evaluation_is_graded_again_and_compared_with(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    better = icpo_here("eval", *GIVEN, "--json").document
    write_lines(sums / "given.jsonl", {**right(*range(24)), **{f"aime24/rlpr/{n}": ["7"] for n in range(24, 30)}})
    worse = icpo_here("eval", *GIVEN, "--against", better["run_id"], "--json").document
    [comparison] = worse["comparisons"]
    assert (comparison["n"], comparison["difference"]) == (30, -20.0)
    assert comparison["ci95"][0] < -20 < comparison["ci95"][1] < 0
    assert comparison["p_value"] < 0.05 and comparison["minimum_detectable_effect"] > 0
    again = icpo_here("eval", "--rescore", worse["run_id"], "--against", better["run_id"][:10], "--json").document
    assert again["comparisons"] == worse["comparisons"]
    assert [r | {"seconds": 0} for r in again["results"]] == [r | {"seconds": 0} for r in worse["results"]]
    shown = icpo_here("eval", "--rescore", worse["run_id"], "--against", better["run_id"]).out
    assert "-20.0" in shown and "detectable" in shown
    strict = icpo_here("eval", "--rescore", worse["run_id"], "eval.extract=answer_tag", "--json").document
    assert strict["results"][0]["verdicts"]["no_answer"] == 6


@pytest.mark.usefixtures("store_here")
def test_a_stored_result_has_a_version_that_is_checked(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    run_id = icpo_here("eval", *GIVEN, "--json").document["run_id"]
    path = sums / "evals" / run_id / "result.json"
    stored = json.loads(path.read_text())
    assert (stored["version"], stored["status"]) == (1, "complete")
    path.write_text(json.dumps(stored | {"version": 2}))
    done = icpo_here("eval", "--rescore", run_id)
    assert done.status == 2 and "result.json has version 2, this icpo reads version 1" in done.err
    path.write_text(json.dumps({key: value for key, value in stored.items() if key != "version"}))
    assert icpo_here("eval", "--rescore", run_id, "--json").document["results"][0]["avg_at_k"] == 100.0


@pytest.mark.usefixtures("store_here")
def test_results_in_another_tools_layout(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(15)))
    document = icpo_here("eval", *GIVEN, "--export", "out", "--json").document
    exported = json.loads(Path(document["exported"]).read_text())
    assert exported["results"]["aime24"]["exact_match,none"] == 1.0
    assert exported["n-samples"]["aime24"] == {"original": 30, "effective": 15}


@pytest.mark.usefixtures("store_here")
def test_a_benchmark_without_data_is_reported_and_not_fatal(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    offline = {"HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(sums / "cache")}
    arguments = ["--bench", "gpqa", *GIVEN]
    done = icpo_here("eval", *arguments, "--json", cwd=sums, env=offline)
    assert done.status == 0, done.err
    assert [result["bench"] for result in done.document["results"]] == ["aime24"]
    assert "request access to Idavidrein/gpqa" in done.document["missing"]["gpqa"]
    assert "gpqa" in done.err
    alone = icpo_here("eval", "--bench", "gpqa", *GIVEN[2:], cwd=sums, env=offline)
    assert alone.status == 2 and "request access to Idavidrein/gpqa" in alone.err


def test_the_plan_starts_nothing(sums: Path, icpo_here: Callable) -> None:
    model = ["--model", "smollm2", "eval.data_dir=."]
    document = icpo_here("eval", "--bench", "math", *model, "--limit", "8", "--dry-run", "--json").document
    by_name = {each["bench"]: each for each in document["plan"]["benchmarks"]}
    assert (by_name["aime24"]["responses"], by_name["aime24"]["data"]) == (128, "AIME2024_Avg16.parquet")
    assert by_name["minerva"]["data"] is None and "hf download" in by_name["minerva"]["how_to_get"]
    assert document["config"]["eval"]["limit"] == 8
    assert [path.name for path in sums.iterdir()] == ["AIME2024_Avg16.parquet"]


LINES = {
    "not JSON": ('{"id": "aime24/rlpr/0"', "given.jsonl:1: not valid JSON"),
    "no id": ('{"responses": ["1"]}', "given.jsonl:1: 'id' must be a text"),
    "no texts": ('{"id": "aime24/rlpr/0", "responses": "1"}', "given.jsonl:1: 'responses' must be a list of texts"),
    "no numbers": ('{"id": "aime24/rlpr/0", "responses": [1]}', "'responses' must be a list of texts"),
    "too few": ('{"id": "aime24/rlpr/0", "responses": []}', "has 0 responses, but aime24 uses k = 1"),
    "twice": ('{"id": "aime24/rlpr/0", "responses": ["1"]}\n' * 2, "given.jsonl:2: id 'aime24/rlpr/0' appears twice"),
    "unknown bench": (
        '{"id": "1", "bench": "aime25", "responses": ["1"]}',
        "unknown benchmark 'aime25'; nearest: aime24",
    ),
    "empty": ("", "given.jsonl: contains no lines"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_mistake_in_given_responses(name: str, sums: Path, icpo_here: Callable) -> None:
    text, says = LINES[name]
    (sums / "given.jsonl").write_text(text)
    done = icpo_here("eval", *GIVEN)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and len(done.err.strip().splitlines()) == 1


def test_k_above_the_responses_given_names_both(sums: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    done = icpo_here("eval", *GIVEN[:-1])
    assert done.status == 2
    assert "has 1 responses, but aime24 uses k = 16; provide 16, or set eval.k=1" in done.err


MISTAKES = {
    "no benchmark": (["--model", "smollm2"], "--bench: name a benchmark"),
    "unknown benchmark": (["--bench", "aime", "--model", "{lab}"], "unknown benchmark 'aime'; nearest: aime24"),
    "no model": (["--bench", "aime24"], "--model: name a model folder"),
    "no such model": (["--bench", "aime24", "--model", "./nothing"], "./nothing: no such folder"),
    "no such run": (["--bench", "aime24", "--model", "abc123"], "--model abc123: no such run in runs/"),
    "not a model": (["--bench", "aime24", "--model", "."], "not a model folder: it has no config.json"),
    "no tokenizer": (["--bench", "aime24", "--model", "{no_tokenizer}"], "has no tokenizer"),
    "no chat template": (["--bench", "aime24", "--model", "{no_template}"], "has no chat template; use"),
    "context": (
        ["--bench", "aime24", "--model", "{lab}", "eval.template=plain"],
        "30 of 30 prompts do not fit the model's 256 positions: question aime24/rlpr/",
    ),
    "few shot": (["--bench", "aime24", "--model", "{lab}", "eval.template=few_shot"], "needs one worked example"),
    "template": (["--bench", "aime24", "--model", "{lab}", "eval.template=own_"], "'own_'; nearest: own"),
    "pass@k": (
        ["--bench", "aime24", "--model", "{lab}", "eval.pass_at=[32]"],
        "pass@32 needs 32 responses per question",
    ),
    "greedy": (
        ["--bench", "aime24", "--model", "{lab}", "eval.temperature=0", "eval.k=4"],
        "greedy responses are equal",
    ),
    "no data": (["--bench", "aime24", "--model", "{lab}", "eval.data_dir=nowhere"], "eval.data_dir: nowhere: no such"),
    "output place": (["--bench", "aime24", "--model", "{lab}", "eval.output_dir=given.jsonl/x"], "cannot be made"),
    "two sources": (["--rescore", "x", "--responses", "given.jsonl"], "--responses: not together with --rescore"),
    "rescored model": (["--rescore", "x", "--model", "smollm2"], "--model: not together with --rescore"),
    "unknown evaluation": (["--rescore", "nosuchrun"], "--rescore nosuchrun: no such run in evals/"),
    "unknown comparison": ([*GIVEN, "--against", "nosuchrun"], "--against nosuchrun: no such run"),
    "no file": (["--bench", "aime24", "--responses", "nothing.jsonl"], "nothing.jsonl: no such file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(name: str, sums: Path, untrained_model: Path, icpo_here: Callable) -> None:
    write_lines(sums / "given.jsonl", right(*range(30)))
    places = {"lab": untrained_model}
    for place, lacks in {"no_tokenizer": "tokenizer.json", "no_template": "chat_template.jinja"}.items():
        places[place] = sums / place
        places[place].mkdir()
        for path in untrained_model.iterdir():
            if path.name != lacks:
                (places[place] / path.name).symlink_to(path)
    arguments, says = MISTAKES[name]
    given = [argument.format_map(places) if argument.startswith("{") else argument for argument in arguments]
    settings = [] if any("data_dir" in argument for argument in given) else ["eval.data_dir=."]
    done = icpo_here("eval", *given, *settings)
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1 and "Traceback" not in done.err
    assert not (sums / "mlflow.db").exists()
