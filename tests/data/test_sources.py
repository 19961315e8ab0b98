import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from icpo_cli.config.schema import SourceConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold


def jsonl(folder: Path, *lines: str) -> SourceConfig:
    path = folder / "rows.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return SourceConfig(source="file", path=str(path))


def test_jsonl_with_numbers_blank_lines_and_ids(tmp_path: Path) -> None:
    source = jsonl(
        tmp_path, '{"question": "1+1", "answer": 2, "uid": "a"}', "", '{"question": "q", "answer": "x", "uid": "b"}'
    )
    questions = load_questions(SourceConfig(**{**vars(source), "id_column": "uid"}))
    assert [(q.id, q.text, q.gold) for q in questions] == [("a", "1+1", Gold("2")), ("b", "q", Gold("x"))]


def test_parquet_with_nested_columns_as_the_papers_training_set_has(tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "the question"}],
        "reward_model": {"ground_truth": "42", "style": "rule"},
    }
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "train.parquet")
    columns: dict[str, Any] = {"question_column": "prompt.1.content", "answer_column": "reward_model.ground_truth"}
    for source in (
        SourceConfig(source="file", path=str(tmp_path / "train.parquet"), **columns),
        SourceConfig(source="hub", path=str(tmp_path), **columns),  # a local folder goes the hub's way
    ):
        [question] = load_questions(source)
        assert (question.text, question.gold) == ("the question", Gold("42"))


def test_options_and_kind_are_part_of_the_gold_answer(tmp_path: Path) -> None:
    source = jsonl(tmp_path, '{"question": "q", "answer": "B", "options": ["iron", 7, "lead"]}')
    [plain] = load_questions(source)
    assert plain.gold == Gold("B")
    [lettered] = load_questions(SourceConfig(**{**vars(source), "choices_column": "options", "kind": "letter"}))
    assert lettered.gold == Gold("B", AnswerKind.LETTER, ("iron", "7", "lead"))


def test_options_in_a_nested_column_of_a_parquet_file(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "A", "extra": {"options": ["iron", "zinc"]}}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "train.parquet")
    source = SourceConfig(source="file", path=str(tmp_path / "train.parquet"), choices_column="extra.options")
    [question] = load_questions(source)
    assert question.gold == Gold("A", None, ("iron", "zinc"))


@pytest.mark.parametrize("kind", list(AnswerKind))
def test_every_kind_can_be_asked_for(kind: AnswerKind, tmp_path: Path) -> None:
    source = jsonl(tmp_path, '{"question": "q", "answer": "7"}')
    [question] = load_questions(SourceConfig(**{**vars(source), "kind": kind.value}))
    assert question.gold.kind is kind


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('"A. iron B. zinc"', "rows.jsonl:2: column 'options' is 'A. iron B. zinc', not a list of options"),
        ("[]", "rows.jsonl:2: column 'options' is [], not a list of options"),
        ("null", "rows.jsonl:2: column 'options' is None, not a list of options"),
        ('["iron", null]', "rows.jsonl:2: column 'options' is None, not a text or a number"),
        ('["iron", " "]', "rows.jsonl:2: column 'options' is ' ', not a text or a number"),
    ],
)
def test_malformed_options_are_named_by_file_and_line(tmp_path: Path, options: str, says: str) -> None:
    good = '{"question": "q", "answer": "A", "options": ["iron", "zinc"]}'
    source = jsonl(tmp_path, good, f'{{"question": "q", "answer": "A", "options": {options}}}')
    with pytest.raises(UserError) as caught:
        load_questions(SourceConfig(**{**vars(source), "choices_column": "options"}))
    assert str(caught.value).endswith(says)


def test_a_missing_options_column_names_the_nearest(tmp_path: Path) -> None:
    source = jsonl(tmp_path, '{"question": "q", "answer": "A", "options": ["iron", "zinc"]}')
    with pytest.raises(UserError, match=r"rows.jsonl:1: no column 'option'; nearest: options"):
        load_questions(SourceConfig(**{**vars(source), "choices_column": "option"}))


def test_reasoning_gym_is_a_function_of_its_seed() -> None:
    source = SourceConfig(task="basic_arithmetic", size=20, seed=3)
    assert load_questions(source) == load_questions(source)
    assert load_questions(source) != load_questions(SourceConfig(task="basic_arithmetic", size=20, seed=4))


def test_a_missing_answer_is_empty_and_a_solution_is_read(tmp_path: Path) -> None:
    rows = [None, float("nan"), "NaN", "3 + 3 = 6\n#### 6", True]
    source = jsonl(tmp_path, *[json.dumps({"question": f"q{n}", "answer": row}) for n, row in enumerate(rows)])
    assert [question.gold.answer for question in load_questions(source)] == ["", "", "", "6", "True"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "q"', "rows.jsonl:2: not valid JSON"),
        ("[1, 2]", "rows.jsonl:2: must be a JSON object"),
        ('{"question": "q", "anser": "1"}', "rows.jsonl:2: no column 'answer'; nearest: anser"),
        ('{"question": "", "answer": "1"}', "rows.jsonl:2: column 'question' is ''"),
        ('{"question": "q", "answer": ["1"]}', "rows.jsonl:2: column 'answer' is ['1']"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    source = jsonl(tmp_path, json.dumps({"question": "q", "answer": "1"}), line)
    with pytest.raises(UserError) as caught:
        load_questions(source)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SourceConfig(source="file", path="none.jsonl"), "none.jsonl: no such file"),
        (SourceConfig(source="file", path=__file__), "must end in .jsonl or .parquet"),
        (
            SourceConfig(task="basic_arithmetc"),
            "unknown reasoning_gym task 'basic_arithmetc'; nearest: basic_arithmetic",
        ),
        (SourceConfig(task="basic_arithmetic", params={"max_term": 2}), "reasoning_gym task basic_arithmetic"),
        (SourceConfig(task="basic_arithmetic", params={"min_terms": 9, "max_terms": 2}), "reasoning_gym task"),
        (SourceConfig(source="hub", path="nobody/nothing"), "data set nobody/nothing, split train: cannot be loaded"),
    ],
)
def test_a_source_that_is_not_there(source: SourceConfig, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_questions(source)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match="not a parquet file"):
        load_questions(SourceConfig(source="file", path=str(tmp_path / "bad.parquet")))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "caf\xe9", "answer": "1"}\n')
    with pytest.raises(UserError, match=r"latin.jsonl:1: not UTF-8"):
        load_questions(SourceConfig(source="file", path=str(tmp_path / "latin.jsonl")))
    with pytest.raises(UserError, match="has no rows"):
        load_questions(jsonl(tmp_path))
    twice = jsonl(
        tmp_path, '{"question": "q", "answer": "1", "uid": "a"}', '{"question": "r", "answer": "1", "uid": "a"}'
    )
    with pytest.raises(UserError, match=r"rows.jsonl:2: id 'a' appears twice"):
        load_questions(SourceConfig(**{**vars(twice), "id_column": "uid"}))


def test_an_empty_answer_leaves_its_question_to_be_counted(tmp_path: Path) -> None:
    source = jsonl(tmp_path, json.dumps({"question": "q", "answer": "1"}), json.dumps({"question": "r", "answer": ""}))
    assert [question.gold.answer for question in load_questions(source)] == ["1", ""]
