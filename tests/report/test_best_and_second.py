"""Best and second against the marks that the paper prints."""

from icpo_cli.report.accuracy_table import best_and_second, column_highlights
from icpo_cli.report.layouts import LAYOUTS
from icpo_cli.report.paper import paper_rows
from icpo_cli.report.results import EvalRow, versions_of
from icpo_cli.tables.document import Highlight

B, S = Highlight.BEST, Highlight.SECOND


def marked(table: int) -> tuple[list[EvalRow], list[dict[str, Highlight | None]]]:
    rows = [their for their in paper_rows() if their.table == f"table{table}"]
    return rows, column_highlights(rows, LAYOUTS[table], versions_of([row.scores for row in rows]))


def test_equal_as_printed_share_a_mark_and_the_second_is_the_next_lower() -> None:
    assert best_and_second([76.5, 76.0, 76.2, 76.5, 76.2]) == [B, None, S, B, S]
    assert best_and_second([15.80, 15.767, 14.2]) == [B, B, S]
    assert best_and_second([None, 3.0, 1.0, 2.0]) == [None, B, None, S]


def test_of_one_value_alone_nothing_is_best() -> None:
    assert best_and_second([None, 50.0]) == [None, None]
    assert best_and_second([]) == []


def test_table_4_has_the_papers_marks() -> None:
    rows, marks = marked(4)
    assert [row.variant.method for row in rows] == [
        "grpo",
        "icpo:constant",
        "icpo:linear_decay",
        "icpo:warmup_retention",
        "icpo:warmup_decay",
    ]
    found = {column: [mark[column] for mark in marks] for column in ("theoremqa", "math500", "aime24", "mmlu_pro")}
    assert found == {
        "theoremqa": [None, B, None, None, S],
        "math500": [B, None, S, B, S],
        "aime24": [None, None, S, S, B],
        "mmlu_pro": [None, None, None, S, B],
    }


def test_table_1_marks_within_a_family() -> None:
    rows, marks = marked(1)
    best = {(row.variant.model, row.variant.method): mark for row, mark in zip(rows, marks, strict=True)}
    # Gemma's Math is 15.80 of GRPO and 15.77 of ICPO, which the paper prints and marks as equal.
    assert [best["Gemma2-2B-It", method]["math"] for method in ("base", "grpo", "icpo")] == [S, B, B]
    assert [best["Gemma2-2B-It", method]["theoremqa"] for method in ("base", "grpo", "icpo")] == [None, B, S]
    qwen = {key: mark for key, mark in best.items() if key[0].startswith("Qwen")}
    assert [key for key, mark in qwen.items() if mark["math"] is B] == [("Qwen2.5-Math-7B", "oat_zero")]
    assert [key for key, mark in qwen.items() if mark["math"] is S] == [("Qwen2.5-7B", "icpo")]
    assert [key for key, mark in qwen.items() if mark["minerva"] is B] == [("Qwen2.5-7B", "rlpr")]


def test_table_3_marks_within_a_model() -> None:
    rows, marks = marked(3)
    large = [mark["theoremqa"] for row, mark in zip(rows, marks, strict=True) if row.variant.model == "Qwen2.5-14B"]
    assert large == [S, B, B]
    assert sum(mark["aime24"] is B for mark in marks) == 6  # 5 models, of which 14B's two tie
