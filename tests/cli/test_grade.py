"""`icpo grade`: the verdict on a pair or a file, what it prints, and what it refuses."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.cli import grade as command
from icpo_cli.cli.answers import LabelledAnswer
from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Gold, count_kinds
from tests.grading.faulty_server import FaultyServer

HEAVY = ("torch", "vllm", "deepspeed", "mlflow", "transformers", "sympy")


def written(folder: Path, *lines: dict | str) -> str:
    path = folder / "answers.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(path)


def test_a_pair_and_why(icpo_here: Callable) -> None:
    done = icpo_here("grade", "--gold", "42", "--response", "<think>6*7</think> <answer>42.0</answer>")
    assert (done.status, done.err) == (0, "")
    assert [line.split()[:2] for line in done.out.splitlines()[:3]] == [
        ["verdict", "correct"],
        ["extracted", "42.0"],
        ["rule", "number"],
    ]
    assert "equal numbers" in done.out.splitlines()[3]


@pytest.mark.parametrize(
    ("arguments", "verdict", "extracted"),
    [
        (["--gold=7", "--response=7"], "correct", "7"),  # a bare answer is the whole response
        (["--gold=-5", "--response=-5"], "correct", "-5"),
        (["--gold=7", "--response="], "no_answer", None),
        (["--gold=7", "--response=7", "--extract=answer_tag"], "no_answer", None),
        (["--gold=7", "--response=7", "reward.extract=answer_tag"], "no_answer", None),
        (["--gold=7", "--response=a \\boxed{7} b \\boxed{8}", "--extract=boxed"], "wrong", "8"),
        (["--gold=7", "--response=a \\boxed{7} b \\boxed{8}", "--rule=rlpr"], "correct", "7"),
        (["--gold=B", "--response=blue", "--choices=red", "--choices=blue"], "correct", "blue"),
        (["--gold=C", "--response=C", "--kind=letter", "--choices=red", "--choices=blue"], "error", "C"),
        (["--gold=no", "--response=False", "--kind=bool"], "correct", "False"),
        (["--gold=no", "--response=False", "--kind=text"], "wrong", "False"),
    ],
)
def test_options_of_a_pair(arguments: list[str], verdict: str, extracted: str | None, icpo_here: Callable) -> None:
    document = icpo_here("grade", *arguments, "--json").document
    result = document["results"][0]
    assert (result["verdict"], result["extracted"]) == (verdict, extracted)
    assert result["rule"] and result["reason"]
    assert document["counts"] == count_kinds([verdict])


def test_a_file_in_order_with_every_column(icpo_here: Callable, tmp_path: Path) -> None:
    lines: list[dict[str, Any] | str] = [
        {"gold": r"\frac{1}{2}", "response": "<think>.</think> <answer>2/4</answer>", "kind": "math"},
        {"gold": "B", "response": "The answer is (B)", "choices": ["red", "blue"], "id": "q-2"},
        "",
        {"gold": "{1", "response": "1", "kind": "math"},
        {"gold": "United Kingdom", "response": "UK", "aliases": ["UK"], "kind": "text"},
        {"gold": "[1, 2]", "response": "[2, 1]", "kind": "list", "ordered": True},
        {"gold": "[1, 2]", "response": "[2, 1]", "kind": "list", "ordered": False, "question": "Which?", "more": 1},
        {"gold": "7", "response": "\n"},
        {"gold": "7", "response": "8", "kind": None},
    ]
    done = icpo_here("grade", written(tmp_path, *lines), "--json")
    assert done.err == ""
    verdicts = ["correct", "correct", "error", "correct", "wrong", "correct", "no_answer", "wrong"]
    assert [result["verdict"] for result in done.document["results"]] == verdicts
    assert done.document["counts"] == {"correct": 4, "wrong": 2, "no_answer": 1, "timeout": 0, "error": 1}
    assert all(set(result) == {"verdict", "extracted", "rule", "reason"} for result in done.document["results"])


def test_an_unusable_gold_is_an_error_whatever_the_response_says(icpo_here: Callable, tmp_path: Path) -> None:
    lines = [{"gold": gold, "response": response} for gold in (" ", "a\u202eb") for response in ("7", "")]
    results = icpo_here("grade", written(tmp_path, *lines), "--json").document["results"]
    assert [(result["verdict"], result["rule"]) for result in results] == [("error", "gold")] * 4
    assert [result["extracted"] for result in results] == ["7", None, "7", None]
    assert results[0]["reason"] == "the gold answer is empty"


def test_a_gold_that_mathematics_cannot_read_is_an_error(icpo_here: Callable, tmp_path: Path) -> None:
    lines = [{"gold": r"\frac{1}{", "response": "1"}, {"gold": "}{", "response": "}{"}]
    results = icpo_here("grade", written(tmp_path, *lines), "--kind=math", "--json").document["results"]
    assert [(result["verdict"], result["rule"]) for result in results] == [("error", "gold")] * 2


def test_numbers_are_taken_as_they_are_written(icpo_here: Callable, tmp_path: Path) -> None:
    path = written(tmp_path, '{"gold": 4.50, "response": 1e999}')
    result = icpo_here("grade", path, "--extract", "none", "--json").document["results"][0]
    assert (result["verdict"], result["extracted"]) == ("wrong", "1e999")


def test_lines_for_people_hold_no_markup_and_no_control_codes(icpo_here: Callable, tmp_path: Path) -> None:
    evil = '{"gold": "7", "response": "[red]7[/red]\\u001b[31m\\ud800\\u202e", "id": "a\\nb"}'
    long = {"gold": "7", "response": "7" * 5000}
    done = icpo_here("grade", written(tmp_path, evil, long))
    shown = done.out.splitlines()
    odd = "\N{REPLACEMENT CHARACTER}"
    assert shown[0].startswith(f"wrong      a{odd}b  [red]7[/red]{odd}[31m{odd}{odd}  (characters: ")
    assert shown[1].startswith("wrong      2  777") and len(shown[1]) < 250
    assert ["wrong", "2", "100.0%"] in [line.split() for line in shown]
    assert ["correct", "0", "0.0%"] in [line.split() for line in shown]


def test_lone_surrogates_survive_in_json(icpo_here: Callable, tmp_path: Path) -> None:
    path = written(tmp_path, '{"gold": "\\udfff", "response": "\\ud800"}')
    result = icpo_here("grade", path, "--json").document["results"][0]
    assert (result["verdict"], result["extracted"]) == ("error", "\ud800")


def test_batches_join_to_one_document(icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "BATCH", 3)
    path = written(tmp_path, *({"gold": str(n), "response": f"<answer>{n}</answer>"} for n in range(20)))
    done = icpo_here("grade", path, "--json")
    assert [result["extracted"] for result in done.document["results"]] == [str(n) for n in range(20)]
    assert done.document["counts"]["correct"] == 20
    assert done.err.splitlines()[0] == "graded 3 of 20" and done.err.splitlines()[-1] == "graded 20 of 20"


def test_no_more_than_a_batch_is_read_ahead() -> None:
    taken = 0

    def rows() -> Iterator[LabelledAnswer]:
        nonlocal taken
        for number in range(10 * command.BATCH):
            taken += 1
            yield str(number), Answer(str(number), Gold(str(number)))

    with Verifier(RewardConfig()) as verifier:
        graded = command._graded(rows(), verifier, Grading("auto"), lambda count: None)
        assert next(graded)[0] == "0" and taken == command.BATCH
        assert sum(1 for _ in graded) == taken - 1 == 10 * command.BATCH - 1


def test_standard_input_and_what_cannot_be_read_twice(
    icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps({"gold": "7", "response": "7"}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert icpo_here("grade", "-", "--json").document["counts"]["correct"] == 1
    read, write = os.pipe()
    os.write(write, line)
    os.close(write)
    assert icpo_here("grade", f"/dev/fd/{read}", "--json").document["counts"]["correct"] == 1
    os.close(read)


def test_the_judge_is_asked_about_what_the_rule_does_not_accept(icpo_here: Callable, tmp_path: Path) -> None:
    arguments = ["--gold=red", "--kind=text", "--question=Which colour?", f"reward.judge.cache={tmp_path / 'cache'}"]
    with FaultyServer() as server:
        judge = f"--judge={server.url}"
        asked = icpo_here("grade", *arguments, "--response=crimson", judge, "--json").document["results"][0]
        known = icpo_here("grade", *arguments, "--response=red", judge, "--json").document["results"][0]
        alone = icpo_here("grade", *arguments, "--response=Red", judge, "reward.judge.mode=alone", "--json").document
    assert (asked["verdict"], asked["extracted"], asked["rule"]) == ("correct", "crimson", "judge")
    assert "Which colour?" in server.asked[0].prompt and "crimson" in server.asked[0].prompt
    assert known["rule"] == "exact"
    assert alone["results"][0]["rule"] == "judge" and len(server.asked) == 2


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    path = written(tmp_path, {"gold": "x+1", "response": "1+x", "kind": "math"})
    code = (
        "import sys\nfrom icpo_cli.cli.app import app\n"
        f"try:\n    app(['grade', {path!r}, '--json'])\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"correct": 1' in done.stdout
    assert "LOADED []" in done.stdout


PAIR = ["--gold=1", "--response=1"]
MISTAKES = {
    "nothing": ([], "nothing to grade: give a FILE.jsonl, or --gold and --response"),
    "half a pair": (["--gold=1"], "--response: missing"),
    "the other half": (["--response=1"], "--gold: missing"),
    "both": (["good.jsonl", *PAIR], "--gold: not together with good.jsonl"),
    "a question for a file": (["good.jsonl", "--question=q"], "--question: not together with good.jsonl"),
    "two files": (["good.jsonl", "other.jsonl"], "other.jsonl: only one file can be graded"),
    "no such file": (["nothing.jsonl"], "nothing.jsonl: no such file"),
    "a folder": (["."], ".: cannot be read: Is a directory"),
    "kind": ([*PAIR, "--kind=maths"], '--kind: unknown kind "maths"; nearest: math'),
    "extract": ([*PAIR, "--extract=boxd"], "--extract: reward.extract: unknown value 'boxd'; nearest: boxed"),
    "rule": ([*PAIR, "--rule=strikt"], "--rule: reward.rule: unknown value 'strikt'; nearest: strict"),
    "unknown setting": ([*PAIR, "reward.juge.mode=off"], "unknown key 'reward.juge'; nearest: reward.judge"),
    "setting without effect": ([*PAIR, "reward.noise.fraction=0.4"], "no verdict depends on it"),
    "another part's setting": (["good.jsonl", "seed=1"], "seed=1: no verdict depends on it"),
    "judge's address": ([*PAIR, "--judge=localhost"], "reward.judge.url: 'localhost' must be an http"),
    "no judge there": ([*PAIR, "--judge=http://127.0.0.1:1/v1"], "reward.judge.url: http://127.0.0.1:1/v1: no judge"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    name: str, icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text('{"gold": "1", "response": "1"}\n')
    arguments, says = MISTAKES[name]
    done = icpo_here("grade", *arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


BAD_LINES = {
    "malformed": (b'{"gold"', "bad.jsonl:3: not valid JSON: Expecting ':' delimiter at column 8"),
    "not an object": (b"[1]", "bad.jsonl:3: must be a JSON object, not list"),
    "too deep": (b"[" * 100_000, "bad.jsonl:3: not valid JSON: nested too deeply"),
    "not UTF-8": (b'{"gold": "\xff", "response": "1"}', "bad.jsonl:3: not UTF-8: invalid start byte"),
    "no gold": (b'{"answer": "1", "response": "1"}', 'bad.jsonl:3: no column \'gold\' among ["answer", "response"]'),
    "no response": (b'{"gold": "1"}', "bad.jsonl:3: no column 'response' among [\"gold\"]"),
    "gold of no text": (b'{"gold": null, "response": "1"}', "bad.jsonl:3: column 'gold' is null"),
    "response of no text": (b'{"gold": "1", "response": ["1"]}', "bad.jsonl:3: column 'response' is [\"1\"]"),
    "kind": (b'{"gold": "1", "response": "1", "kind": "nubmer"}', 'unknown kind "nubmer"; nearest: number'),
    "choices": (b'{"gold": "1", "response": "1", "choices": "A"}', "column 'choices' is \"A\", not a list of texts"),
    "aliases": (b'{"gold": "1", "response": "1", "aliases": [null]}', "column 'aliases' is [null]"),
    "ordered": (b'{"gold": "1", "response": "1", "ordered": "yes"}', 'is "yes", not true or false'),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_before_anything_is_printed(
    name: str, icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line, says = BAD_LINES[name]
    (tmp_path / "bad.jsonl").write_bytes(b'\xef\xbb\xbf{"gold": "1", "response": "1"}\n\n' + line + b"\n")
    done = icpo_here("grade", "bad.jsonl", "--json")
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_an_empty_file(icpo_here: Callable, tmp_path: Path) -> None:
    done = icpo_here("grade", written(tmp_path, "", ""))
    assert (done.status, done.out) == (2, "")
    assert "has no lines" in done.err
