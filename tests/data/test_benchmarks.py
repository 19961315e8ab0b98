"""The benchmarks and their loader, with small files; with the real data if it is available."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS, load_benchmark, resolve_names
from icpo_cli.data.benchmarks.benchmark import Benchmark, options_in
from icpo_cli.data.benchmarks.gpqa import permuted
from icpo_cli.data.benchmarks.load import Unavailable, find, how_to_get, load, obtain
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind

SHARED = Path(os.environ.get("ICPO_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
at_hand = pytest.mark.skipif(not (SHARED / "math500.jsonl").is_file(), reason="the benchmarks' data is not at hand")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def small(name: str, count: int, **changes: Any) -> Benchmark:
    """The benchmark with `count` questions and without hashes of the golds."""
    benchmark = BENCHMARKS[name]
    sources = tuple(dataclasses.replace(source, golds_sha256=None, rows=None) for source in benchmark.sources)
    return dataclasses.replace(benchmark, count=count, **{"sources": sources, **changes})


def on_hub(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The benchmark with its hub data sets replaced by a local folder."""
    sources = tuple(
        s if s.hub is None else dataclasses.replace(s, hub=dataclasses.replace(s.hub, id=str(folder), revision=None))
        for s in benchmark.sources
    )
    return dataclasses.replace(benchmark, sources=sources)


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rlpr_row(question: str, answer: str, **more: Any) -> dict[str, Any]:
    chat = [{"role": "system", "content": "Think first."}, {"role": "user", "content": question}]
    return {"data_source": "x", "prompt": chat, "reward_model": {"ground_truth": answer, "style": "rule"}, **more}


@at_hand
@pytest.mark.parametrize("name", ["mmlu_pro", "theoremqa", "math500", "minerva", "aime24"])
def test_the_available_data_loads(name: str) -> None:
    loaded = load_benchmark(name, SHARED)
    assert len(loaded.questions) == loaded.benchmark.count
    assert loaded.benchmark.golds_sha256 is not None
    assert Path(loaded.source).parent == SHARED and loaded.revision is None
    assert loaded.fingerprint == load_benchmark(name, SHARED).fingerprint
    for question in loaded.questions:
        if question.gold.choices:
            assert 3 <= len(question.gold.choices) <= 10
            assert "A" <= question.gold.answer <= "ABCDEFGHIJ"[len(question.gold.choices) - 1]
            assert question.text.startswith("Question:\n") and "\nOptions:\nA. " in question.text


@at_hand
def test_theoremqa_answers_have_their_kinds() -> None:
    golds = [question.gold for question in load_benchmark("theoremqa", SHARED).questions]
    counts = {kind: sum(gold.kind is kind for gold in golds) for kind in AnswerKind}
    assert counts == {
        AnswerKind.NUMBER: 560,
        AnswerKind.BOOL: 112,
        AnswerKind.LIST: 59,
        AnswerKind.LETTER: 16,
        AnswerKind.MATH: 0,
        AnswerKind.TEXT: 0,
    }
    assert {gold.answer for gold in golds if gold.kind is AnswerKind.BOOL} == {"True", "False"}
    assert {gold.answer for gold in golds if gold.kind is AnswerKind.LETTER} == {"A", "B", "C", "D"}


@at_hand
def test_changed_data_is_refused_with_both_numbers(tmp_path: Path) -> None:
    lines = (SHARED / "aime24.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "aime24.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match=r"aime24.jsonl: 29 questions, where aime24 has 30"):
        load_benchmark("aime24", tmp_path)
    changed = json.loads(lines[0]) | {"answer": "203"}
    (tmp_path / "aime24.jsonl").write_text("".join([json.dumps(changed) + "\n", *lines[1:]]))
    known = BENCHMARKS["aime24"].golds_sha256
    with pytest.raises(UserError, match=rf"sha256 of the golds is [0-9a-f]{{64}}, where that of aime24 is {known}"):
        load_benchmark("aime24", tmp_path)
    (tmp_path / "aime24.jsonl").write_text("".join(reversed(lines)))  # another order is the same data
    assert len(load_benchmark("aime24", tmp_path).questions) == 30


def test_counts_k_and_groups_are_the_papers() -> None:
    assert {name: (b.count, b.k) for name, b in BENCHMARKS.items()} == {
        "mmlu_pro": (1000, 2),
        "gpqa": (198, 4),
        "theoremqa": (747, 2),
        "webinstruct": (638, 2),
        "math500": (500, 2),
        "minerva": (272, 2),
        "aime24": (30, 16),
    }
    assert GROUPS["general"] == ["mmlu_pro", "gpqa", "theoremqa", "webinstruct"]
    assert GROUPS["math"] == ["math500", "minerva", "aime24"]


def test_names_and_groups_are_resolved_in_order_and_once() -> None:
    assert resolve_names(["math", "gpqa", "aime24"]) == ["gpqa", "math500", "minerva", "aime24"]
    assert resolve_names(["all"]) == list(BENCHMARKS)
    with pytest.raises(UserError, match="unknown benchmark 'mmlu-pro'; nearest: mmlu_pro"):
        resolve_names(["mmlu-pro"])


RLPR = {
    "math500": ("Math-500_Avg2", "What is $1/2 + 1/2$?", "1", AnswerKind.MATH),
    "minerva": ("Minerva_Avg4", "How far, in cm?", "4.5e33", AnswerKind.MATH),
    "aime24": ("AIME2024_Avg16", "Find m + n.", "025", AnswerKind.NUMBER),
    "theoremqa": ("TheoremQA_Avg2", "Is it so?", "True", AnswerKind.BOOL),
    "mmlu_pro": ("MMLUPro-1000_Avg2", "Question:\nWhich?\nOptions:\nA. one\nB. two\nC. three", "C", AnswerKind.LETTER),
    "gpqa": ("gpqa_diamond_Avg4", "Question:\nWhich?\nOptions:\nA. w\nB. x\nC. y\nD. z", "D", AnswerKind.LETTER),
    "webinstruct": ("WebInstruct-verified-val_Avg2", "Name the metal.", "iron", None),
}


@pytest.mark.parametrize("name", RLPR)
def test_rlpr_files_load_from_a_folder_and_from_the_hub(name: str, tmp_path: Path) -> None:
    stem, text, answer, kind = RLPR[name]
    rows = [rlpr_row(text, answer, uid="u1"), rlpr_row(f"{text} ", answer, uid="u2")]
    folder = tmp_path / "data"
    folder.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{stem}.parquet")
    local = load(small(name, 2), folder)
    fetched = load(on_hub(small(name, 2), folder), None)
    assert local.questions == fetched.questions
    assert local.fingerprint == fetched.fingerprint
    assert [question.id for question in local.questions] == [f"{name}/rlpr/u1", f"{name}/rlpr/u2"]
    assert local.questions[0].text == text
    assert local.questions[0].gold.kind is kind
    assert local.questions[0].gold.answer == answer.lstrip("0")
    if kind is AnswerKind.LETTER:
        assert local.questions[0].gold.choices[:2] in (("one", "two"), ("w", "x"))
    assert (local.source, fetched.source) == (str(folder / f"{stem}.parquet"), str(folder))


ORIGINALS: dict[str, list[dict[str, Any]]] = {
    "math500": [{"unique_id": "test/algebra/1.json", "problem": "1+1?", "answer": "2", "level": 1}],
    "minerva": [{"problem": "How far?", "answer": "1.6"}],
    "aime24": [{"id": 60, "problem": "Find it.", "answer": "073"}],
    "theoremqa": [
        {"Question": "Roots?", "Answer": "[1, 2]", "Answer_type": "list of integer", "Picture": None},
        {"Question": "See the picture.", "Answer": "1", "Answer_type": "integer", "Picture": {"path": "images/1.png"}},
    ],
    "mmlu_pro": [{"question_id": 7, "question": "Which?", "options": ["a", "b", "c"], "answer": "B"}],
    "gpqa": [
        {
            "Record ID": "rec1",
            "Question": "Which?",
            "Correct Answer": "right",
            **{f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)},
        }
    ],
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_original_hub_data_sets_load(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    benchmark = small(name, 1)
    original = dataclasses.replace(benchmark.sources[-1], draw=None)
    assert original.hub is not None
    jsonl(folder / f"{original.hub.split}.jsonl", *ORIGINALS[name])
    # A local folder has no named configuration.
    source = dataclasses.replace(original, hub=dataclasses.replace(original.hub, config=None))
    loaded = load(on_hub(dataclasses.replace(benchmark, sources=(source,)), folder), None)
    [question] = loaded.questions
    answers = {"math500": "2", "minerva": "1.6", "aime24": "73", "theoremqa": "[1, 2]", "mmlu_pro": "B"}
    if name == "gpqa":
        assert question.gold.choices["ABCD".index(question.gold.answer)] == "right"
        assert question == permuted("gpqa/rec1", "Which?", ("right", "wrong 1", "wrong 2", "wrong 3"), 0)
    else:
        assert question.gold.answer == answers[name]


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    stem = "AIME2024_Avg16"
    parquet.write_table(pyarrow.Table.from_pylist([rlpr_row("q", "7")]), folder / f"{stem}.parquet")
    benchmark = on_hub(small("aime24", 1), folder)
    first = load(benchmark, None)
    (folder / f"{stem}.parquet").unlink()
    again = load(benchmark, None)
    assert again == first
    found = find(benchmark, None)
    assert found is not None and found.path.is_relative_to(tmp_path / "cache")


def test_what_is_fetched_wrongly_is_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist([rlpr_row("q", "7")]), folder / "AIME2024_Avg16.parquet")
    benchmark = on_hub(small("aime24", 2), folder)
    with pytest.raises(UserError, match="1 questions, where aime24 has 2"):
        load(benchmark, None)
    assert find(benchmark, None) is None


def test_prepared_data_goes_into_the_folder_and_is_found_there(tmp_path: Path) -> None:
    hub, data = tmp_path / "hub", tmp_path / "data"
    hub.mkdir()
    parquet.write_table(pyarrow.Table.from_pylist([rlpr_row("q", "7")]), hub / "AIME2024_Avg16.parquet")
    benchmark = on_hub(small("aime24", 1), hub)
    obtain(benchmark, data)
    assert [path.name for path in data.iterdir()] == ["AIME2024_Avg16.parquet"]
    assert load(benchmark, data).source == str(data / "AIME2024_Avg16.parquet")


def test_gpqa_options_are_in_an_order_of_the_id_alone() -> None:
    options = ("right", "x", "y", "z")
    first = permuted("gpqa/a", "Why?", options, right=0)
    assert first == permuted("gpqa/a", "Why?", options, right=0)
    other = permuted("gpqa/a", "Other words", ("p", "q", "r", "s"), right=2)
    same_order = dict(zip(options, ("p", "q", "r", "s"), strict=True))
    assert tuple(same_order[option] for option in first.gold.choices) == other.gold.choices
    assert first.gold.choices["ABCD".index(first.gold.answer)] == "right"
    letters = [permuted(f"gpqa/{i}", "q", options, 0).gold.answer for i in range(400)]
    assert {letter: letters.count(letter) > 70 for letter in "ABCD"} == dict.fromkeys("ABCD", True)


def test_identical_options_are_both_right() -> None:
    gold = permuted("gpqa/a", "q", ("5 m", "7 m", "5 m ", "9 m"), right=0).gold
    letters = {gold.answer, *gold.aliases}
    assert len(letters) == 2
    assert {gold.choices["ABCD".index(letter)] for letter in letters} == {"5 m"}


def test_gpqa_from_a_csv_and_from_our_own_layout(tmp_path: Path) -> None:
    row = ORIGINALS["gpqa"][0]
    columns = [name for name in row if name != "Record ID"]
    table = ",".join(columns) + "\n" + ",".join(str(row[name]) for name in columns) + "\n"
    (tmp_path / "gpqa_diamond.csv").write_text(table)
    [question] = load(small("gpqa", 1), tmp_path).questions
    assert question.gold.choices["ABCD".index(question.gold.answer)] == "right"
    assert question.id.startswith("gpqa/") and len(question.id) == len("gpqa/") + 12
    own = {"id": "gpqa/1", "question": "Which?", "choices": ["w", "x", "right", "z"], "answer": "C"}
    jsonl(tmp_path / "gpqa.jsonl", own)  # looked for before the others
    loaded = load(small("gpqa", 1), tmp_path)
    gold = loaded.questions[0].gold
    assert gold.choices["ABCD".index(gold.answer)] == "right"


def test_webinstruct_golds_are_letters_numbers_or_texts(tmp_path: Path) -> None:
    asked = "Which?\nA. iron\nB. zinc\nC. lead\nD. gold"
    jsonl(
        tmp_path / "WebInstruct-verified-val_Avg2.jsonl",
        rlpr_row(asked, "B"),
        rlpr_row("How many?", "42"),
        rlpr_row("Which vitamin?", "C"),
    )
    golds = [question.gold for question in load(small("webinstruct", 3), tmp_path).questions]
    assert (golds[0].kind, golds[0].choices) == (AnswerKind.LETTER, ("iron", "zinc", "lead", "gold"))
    assert [(gold.answer, gold.kind, gold.choices) for gold in golds[1:]] == [("42", None, ()), ("C", None, ())]


def test_options_are_read_from_a_text() -> None:
    assert options_in("Pick.\nA. one\nB. two\nlines\nC. three\n\nAnswer with a letter.") == (
        "one",
        "two\nlines",
        "three",
    )
    assert options_in("Pick.\n(A) one\n(B) two") == ("one", "two")
    assert options_in("A. Einstein wrote what?") == ()
    assert options_in("No list here.") == ()


def test_the_mmlu_pro_sample_is_drawn_by_question_number(tmp_path: Path) -> None:
    rows = [{"question_id": i, "question": f"Q{i}", "options": ["a", "b", "c"], "answer": "A"} for i in range(1200)]
    source = dataclasses.replace(small("mmlu_pro", 1000).sources[-1])
    benchmark = small("mmlu_pro", 1000, sources=(source,))
    jsonl(tmp_path / "MMLU-Pro.jsonl", *rows)
    first = load(benchmark, tmp_path)
    jsonl(tmp_path / "MMLU-Pro.jsonl", *reversed(rows))
    assert load(benchmark, tmp_path).fingerprint == first.fingerprint
    assert len(first.questions) == 1000
    whole = dataclasses.replace(benchmark, sources=(dataclasses.replace(source, rows=12032),))
    with pytest.raises(UserError, match="1,200 rows, where mmlu_pro is taken from 12,032"):
        load(whole, tmp_path)


OWN = {"id": "a", "question": "q", "answer": "1"}
CHOICE = {**OWN, "choices": ["x", "y", "z"]}
BAD: dict[str, tuple[str, str, list[dict[str, Any]], str]] = {
    "wrong column": ("math500", "math500", [{"id": "a", "question": "q", "anser": "1"}], ":1: no column 'answer'"),
    "empty text": ("math500", "math500", [{**OWN, "question": " "}], "column 'question' is ' ', not a text"),
    "not a text": ("math500", "math500", [{**OWN, "answer": ["1"]}], "column 'answer' is ['1'], not a text"),
    "confidential": (
        "gpqa",
        "gpqa",
        [{**CHOICE, "answer": "A", "question": ["secret"]}],
        "column 'question' is a list of 1, not",
    ),
    "id twice": ("math500", "math500", [OWN, OWN], ":2: id 'a' appears twice"),
    "count": ("math500", "math500", [OWN], "1 questions, where math500 has 2"),
    "no options": ("mmlu_pro", "mmlu_pro", [OWN], "no column 'choices'"),
    "one option": (
        "mmlu_pro",
        "mmlu_pro",
        [{**OWN, "choices": ["x"], "answer": "A"}],
        "is ['x'], not a list of options",
    ),
    "letter beyond": ("mmlu_pro", "mmlu_pro", [{**CHOICE, "answer": "D"}], "a letter from A to C"),
    "not a letter": ("gpqa", "gpqa", [{**CHOICE, "answer": "x y"}], "a letter from A to C"),
    "over 999": ("aime24", "aime24", [{**OWN, "answer": "1000"}], "a whole number from 0 to 999, not '1000'"),
    "type": (
        "theoremqa",
        "theoremqa",
        [{**OWN, "answer_type": "flaot"}],
        "unknown answer type 'flaot'; nearest: float",
    ),
    "not its type": ("theoremqa", "theoremqa", [{**OWN, "answer_type": "bool"}], "'1' does not have its type, bool"),
    "no chat": ("minerva", "Minerva_Avg4", [{**rlpr_row("q", "1"), "prompt": []}], "no user's message"),
    "no gold": ("minerva", "Minerva_Avg4", [{**rlpr_row("q", "1"), "reward_model": {}}], "reward_model.ground_truth"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_one_line_with_its_place(case: str, tmp_path: Path) -> None:
    name, stem, rows, says = BAD[case]
    path = jsonl(tmp_path / f"{stem}.jsonl", *rows)
    with pytest.raises(UserError) as caught:
        load(small(name, 2), tmp_path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gpqa", "webinstruct"])
def test_missing_data_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    for data_dir in (None, tmp_path):
        with pytest.raises(UserError) as caught:
            load_benchmark(name, data_dir)
        message = str(caught.value)
        assert message.startswith(f"{name}: ") and "\n" not in message
        assert "hf download openbmb/RLPR-Evaluation" in message and "eval.data_dir" in message
    assert ("request access to Idavidrein/gpqa on the hub, `hf auth login`" in message) == (name == "gpqa")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"eval.data_dir: .*nothing: no such file or folder"):
        load_benchmark("aime24", tmp_path / "nothing")


def test_one_file_serves_as_the_data_folder(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "math500.jsonl", OWN)
    assert load(small("math500", 1), path).source == str(path)
    assert find(small("minerva", 1), path) is None


def test_the_hub_names_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=str(tmp_path)):
        obtain(on_hub(small("aime24", 1), tmp_path), None)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_says_what_it_is(name: str) -> None:
    benchmark = BENCHMARKS[name]
    assert benchmark.pitfalls and benchmark.licence and benchmark.about and how_to_get(benchmark)
    assert all("\n" not in pitfall for pitfall in benchmark.pitfalls)
    assert set(benchmark.kinds) <= {kind.value for kind in AnswerKind}
    assert any(source.hub is not None for source in benchmark.sources)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_own_form_asks_for_a_box_after_the_question(name: str, tmp_path: Path) -> None:
    stem, text, answer, _ = RLPR[name]
    jsonl(tmp_path / f"{stem}.jsonl", rlpr_row(text, answer))
    [question] = load(small(name, 1), tmp_path).questions
    form: Callable[..., str] = BENCHMARKS[name].own_form
    assert form(question).startswith(text) and "\\boxed{}" in form(question)
