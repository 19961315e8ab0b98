"""`icpo bench` and `icpo data` through the command's entry point."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from icpo_cli.data.benchmarks import BENCHMARKS

SECRET = "Zorblax decays into which two particles under the third law of everything we know?"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data folder with two questions of math500 and two of gpqa."""
    for name in ("math500", "gpqa"):
        sources = tuple(replace(source, golds_sha256=None) for source in BENCHMARKS[name].sources)
        monkeypatch.setitem(BENCHMARKS, name, replace(BENCHMARKS[name], count=2, sources=sources))
    folder = tmp_path / "data"
    folder.mkdir()
    text = "What is [bold]1 + 1[/bold] \\u001b[31m when both of the numbers are written in base ten?"
    rows = [f'{{"id": "m{i}", "question": "{text} {i}", "answer": "{i}"}}\n' for i in (1, 2)]
    (folder / "math500.jsonl").write_text("".join(rows))
    choices = '"choices": ["alpha ray", "beta ray", "gamma ray", "delta ray"], "answer": "A"'
    rows = [f'{{"id": "g{i}", "question": "{SECRET} {i}", {choices}}}\n' for i in (1, 2)]
    (folder / "gpqa.jsonl").write_text("".join(rows))
    return f"eval.data_dir={folder}"


def test_list_says_what_is_here_and_what_is_missing(icpo_here: Callable, data: str) -> None:
    out = icpo_here("bench", "list", data).out
    assert "math500.jsonl" in out and "MATH-500" in out
    assert out.splitlines()[-1].startswith("missing: ") and "webinstruct" in out.splitlines()[-1]
    document = icpo_here("bench", "list", data, "--json").document
    facts = {bench["name"]: bench for bench in document["benchmarks"]}
    assert list(facts) == list(BENCHMARKS)
    assert facts["aime24"]["k"] == 16 and facts["aime24"]["data"] is None
    assert facts["math500"]["data"].endswith("math500.jsonl")
    assert "hf download" in facts["aime24"]["how_to_get"]


def test_show_gives_facts_pitfalls_and_questions_as_asked(icpo_here: Callable, data: str) -> None:
    out = icpo_here("bench", "show", "math500", data, "-n", "1").out
    assert "HuggingFaceH4/MATH-500" in out and "pitfalls" in out
    assert "  | What is [bold]1 + 1[/bold] \N{REPLACEMENT CHARACTER}[31m when" in out  # text, neither markup nor codes
    assert "\\boxed{}" in out and "gold: 1 (math)" in out
    assert "m2" not in out
    document = icpo_here("bench", "show", "math500", data, "--json").document
    assert [question["id"] for question in document["shown"]] == ["m1", "m2"]
    assert (document["version"], document["questions"]) == ("1", 2)


def test_show_without_data_says_how_to_get_it(icpo_here: Callable) -> None:
    done = icpo_here("bench", "show", "gpqa")
    assert done.status == 0
    assert "missing: get it with network by" in done.out and "hf auth login" in done.out


def test_questions_of_gpqa_are_never_shown(icpo_here: Callable, data: str, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text(f'{{"question": "{SECRET}", "answer": "1"}}\n')
    settings = [data, "data.train.source=file", f"data.train.path={train}"]
    for command in (["bench", "show", "gpqa", data], ["bench", "list", data], ["data", "check", *settings]):
        for more in ([], ["--json"]):
            done = icpo_here(*command, *more)
            assert done.status == 0, done.err
            assert "orblax" not in done.out + done.err and "gamma ray" not in done.out + done.err
    assert "Its questions are not shown" in icpo_here("bench", "show", "gpqa", data).out


def test_data_list_names_what_configurations_and_benchmarks_need(icpo_here: Callable, data: str) -> None:
    found = icpo_here("data", "list", data, "--json").document["data_sets"]
    needs = {need["data_set"]: need for need in found}
    paper = needs["openbmb/RLPR-Train-Dataset, split train"]
    assert "paper/qwen2.5-7b-icpo.yaml" in paper["wanted_by"]
    assert needs["reasoning_gym basic_arithmetic"]["wanted_by"] == ["lab/lab.yaml", "quickstart.yaml"]
    assert needs["math500"]["here"].endswith("math500.jsonl") and needs["minerva"]["here"] is None
    assert "webinstruct: get it with network by" in icpo_here("data", "list", data).out


def test_prepare_finds_what_is_here_and_says_how_for_the_rest(icpo_here: Callable, data: str) -> None:
    done = icpo_here("data", "prepare", "math500", data)
    assert (done.status, done.err) == (0, "")
    assert "math500: here: " in done.out
    done = icpo_here("data", "prepare", "math500", "webinstruct", data, "--json")
    assert done.status == 1
    assert "1 of 2 data sets are not available: webinstruct" in done.err
    sets = done.document["data_sets"]
    assert [entry["status"] for entry in sets] == ["missing", "here"]
    assert "hf download openbmb/RLPR-Evaluation WebInstruct-verified-val_Avg2.parquet" in sets[0]["how"]


def test_check_counts_and_lists_overlapping_pairs(icpo_here: Callable, data: str, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    shared = "when both of the numbers are written in base ten"
    train.write_text(f'{{"question": "Say it {shared}? Yes", "answer": "1"}}\n' * 2)
    settings = [data, "data.train.source=file", f"data.train.path={train}"]
    document = icpo_here("data", "check", *settings, "--json").document
    sets = {part["name"]: part for part in document["sets"]}
    assert sets["train"]["questions"] == 2 and sets["train"]["repeats"] == [["1", "0"]]
    assert document["overlapping"] == {"gpqa": 0, "math500": 2}
    assert len(document["overlap"]) == 4
    assert document["overlap"][0]["ngram"] == shared
    out = icpo_here("data", "check", *settings).out
    assert "shared 10-grams" in out and shared in out
    assert icpo_here("data", "check", *settings, "--ngram", "12", "--json").document["overlap"] == []


MISTAKES = {
    "unknown benchmark": (["bench", "show", "mat500"], "unknown benchmark 'mat500'; nearest: math500"),
    "unknown data set": (["data", "prepare", "aime25"], "unknown benchmark 'aime25'; nearest: aime24"),
    "no such folder": (["bench", "list", "eval.data_dir=nowhere"], "eval.data_dir: nowhere: no such file or folder"),
    "no folder to fill": (
        ["data", "prepare", "gpqa", "eval.data_dir=nowhere"],
        "eval.data_dir: nowhere: no such folder",
    ),
    "unknown key": (["bench", "list", "eval.data_dri=x"], "nearest: eval.data_dir"),
    "no training file": (
        ["data", "check", "data.train.source=file", "data.train.path=none.jsonl"],
        "none.jsonl: no such file",
    ),
    "no file": (["data", "list", "none.yaml"], "none.yaml: no such file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(name: str, icpo_here: Callable) -> None:
    arguments, says = MISTAKES[name]
    done = icpo_here(*arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_benchmark_with_a_wrong_count_fails_the_check(icpo_here: Callable, tmp_path: Path) -> None:
    (tmp_path / "aime24.jsonl").write_text(json.dumps({"id": "a", "question": "q", "answer": "1"}) + "\n")
    done = icpo_here("data", "check", f"eval.data_dir={tmp_path}", "data.train.task=basic_arithmetic")
    assert done.status == 1
    assert "1 questions, where aime24 has 30" in done.out
    assert "data check: cannot be used: aime24" in done.err
