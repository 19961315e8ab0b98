"""Which evaluations fill which rows."""

from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.report.accuracy_table import accuracy_table
from icpo_cli.report.select import ReportRequest, Selection, read_rows, select
from icpo_cli.track.read import PastRun
from tests.report.runs import evaluated, run, trained


def chosen(selection: Selection) -> dict[str, dict[str, str]]:
    """The run that each number is from."""
    return {row.title: {bench: cell.run_id for bench, cell in row.scores.items()} for row in selection.rows}


def test_the_newest_whole_evaluation_fills_a_cell() -> None:
    runs = [
        evaluated("old", {"gpqa": 30.0, "aime24": 10.0}),
        evaluated("new", {"gpqa": 31.0}),
        evaluated("few", {"gpqa": 99.0, "minerva": 40.0}, partial=True),
    ]
    selection = select(runs, ReportRequest())
    assert chosen(selection) == {"Qwen2.5-7B base": {"gpqa": "new", "aime24": "old", "minerva": "few"}}
    assert selection.rows[0].scores["minerva"].partial and selection.notes == ()


def test_several_training_runs_of_one_row_are_said() -> None:
    runs = [trained("a" * 32), trained("b" * 32)]
    runs += [evaluated("one", {"gpqa": 30.0}, parent="a" * 32), evaluated("two", {"aime24": 9.0}, parent="b" * 32)]
    selection = select(runs, ReportRequest())
    assert chosen(selection) == {"Qwen2.5-7B ICPO": {"aime24": "two", "gpqa": "one"}}
    assert "several evaluated training runs" in selection.notes[0]
    assert "Qwen2.5-7B ICPO: aaaaaaaa and bbbbbbbb of 2 runs." in selection.notes[0]


def test_greedy_and_sampled_responses_are_told_apart() -> None:
    runs = [evaluated("a", {"gpqa": 30.0}, temperature="1.0")]
    runs += [evaluated("b", {"gpqa": 31.0}, model="Qwen2.5-3B", temperature="0.0")]
    assert select(runs[:1], ReportRequest()).notes == ()
    assert select(runs, ReportRequest()).notes == (
        "Responses were sampled at different temperatures: 0.0 (b); 1.0 (a).",
    )


def test_numbers_of_another_grader_are_left_out_and_named() -> None:
    runs = [
        evaluated("old", {"gpqa": 30.0, "math500": 70.0}, grader="3"),
        evaluated("new", {"gpqa": 31.0}, model="Qwen2.5-3B"),
        evaluated("sample", {"gpqa": 32.0}, model="Qwen2.5-3B", grader="5", partial=True),
    ]
    selection = select(runs, ReportRequest())
    assert chosen(selection) == {"Qwen2.5-3B base": {"gpqa": "new"}}  # a whole one says what the table is of
    assert "Left out: 2 evaluations are by another grader (verifier 3, 5; here 4)" in selection.notes[0]


def test_numbers_on_other_questions_are_left_out_of_their_column_alone() -> None:
    runs = [
        evaluated("old", {"gpqa": 30.0, "math500": 70.0}, data="before"),
        evaluated("new", {"gpqa": 31.0}, model="Qwen2.5-3B"),
    ]
    selection = select(runs, ReportRequest())
    assert chosen(selection) == {"Qwen2.5-3B base": {"gpqa": "new"}, "Qwen2.5-7B base": {"math500": "old"}}
    assert "on other questions of GPQA" in selection.notes[0]


def test_mixed_shows_them_all_with_a_mark_and_no_rank() -> None:
    runs = [
        evaluated("old", {"gpqa": 90.0}, grader="3", data="before"),
        evaluated("a", {"gpqa": 31.0}, model="Qwen2.5-3B"),
        evaluated("b", {"gpqa": 32.0}, model="Qwen2.5-14B"),
    ]
    report = accuracy_table(select(runs, ReportRequest(mixed=True)), 1, errors=False)
    rows = {row["model"]: row["cells"]["gpqa"] for row in report.data["rows"]}
    assert {model: cell["rank"] for model, cell in rows.items()} == {
        "Qwen2.5-3B": "second",
        "Qwen2.5-7B": None,
        "Qwen2.5-14B": "best",
    }
    table = report.tables[0]
    assert [note for _, note in table.footnotes] == rows["Qwen2.5-7B"]["differs"]
    assert rows["Qwen2.5-7B"]["differs"] == [
        "Graded by verifier 3; unmarked ones by 4.",
        "On other GPQA questions than unmarked ones: data before.",
    ]
    assert [row[4].marks for row in table.rows] == ["", "a,b", ""]


def test_partial_numbers_are_marked_and_not_ranked() -> None:
    runs = [
        evaluated("a", {"aime24": 99.0}, partial=True),
        evaluated("b", {"aime24": 10.0}, model="Qwen2.5-3B"),
        evaluated("c", {"aime24": 11.0}, model="Qwen2.5-14B"),
    ]
    [table] = accuracy_table(select(runs, ReportRequest()), 1, errors=True).tables
    cells = [row[9] for row in table.rows]
    assert [(cell.text, cell.error, cell.marks, cell.highlight and cell.highlight.value) for cell in cells] == [
        ("10.0", "2.0", "", "second"),
        ("99.0", "2.0", "†", None),
        ("11.0", "2.0", "", "best"),
    ]
    assert table.footnotes[0][0] == "†"


def test_another_k_than_the_columns_is_said() -> None:
    runs = [evaluated("a", {"aime24": 9.0}, k=1), evaluated("b", {"aime24": 10.0}, model="Qwen2.5-3B")]
    [table] = accuracy_table(select(runs, ReportRequest()), 1, errors=False).tables
    assert table.columns[9].below == "Avg@16" and table.footnotes == (("a", "Avg@1."),)
    [alone] = accuracy_table(select(runs[:1], ReportRequest()), 1, errors=False).tables
    assert alone.columns[9].below == "Avg@1" and alone.footnotes == ()


STORE = [
    run("5" * 32, tags={"study.name": "s"}, name="study"),
    trained("a" * 32, "method=grpo", parent="5" * 32, team="red"),
    trained("b" * 32, "method=icpo", parent="5" * 32),
    trained("c" * 32, "method=icpo"),
    evaluated("e1", {"gpqa": 30.0}, parent="a" * 32),
    evaluated("e2", {"gpqa": 31.0}, parent="b" * 32),
    evaluated("e3", {"gpqa": 32.0}, parent="c" * 32, experiment="other"),
    evaluated("f9", {"gpqa": 20.0}, tags={"team": "blue"}),
    evaluated("g0", {"gpqa": 25.0}, grader="3", parent="b" * 32),
]


@pytest.mark.parametrize(
    ("request_", "titles"),
    [
        (ReportRequest(runs=("f9",)), ["Qwen2.5-7B base"]),
        (ReportRequest(runs=("aaa", "f9")), ["Qwen2.5-7B GRPO", "Qwen2.5-7B base"]),
        (ReportRequest(runs=("ccc", "e2")), ["Qwen2.5-7B ICPO (cccccccc)", "Qwen2.5-7B ICPO (bbbbbbbb)"]),
        (ReportRequest(runs=("study",), mixed=True), ["Qwen2.5-7B ICPO", "Qwen2.5-7B GRPO"]),
        (ReportRequest(experiment="other"), ["Qwen2.5-7B ICPO"]),
        (ReportRequest(tags={"team": "red"}), ["Qwen2.5-7B GRPO"]),
        (ReportRequest(tags={"team": "blue"}), ["Qwen2.5-7B base"]),
    ],
)
def test_what_is_asked_for_is_shown(request_: ReportRequest, titles: list[str]) -> None:
    assert [row.title for row in select(STORE, request_).rows] == titles


MISTAKES: dict[str, tuple[list[PastRun], ReportRequest, str]] = {
    "nothing": ([], ReportRequest(), "the store has no finished evaluation: `icpo eval` makes one"),
    "no evaluation": ([trained("t")], ReportRequest(), "has no finished evaluation"),
    "no such run": (STORE, ReportRequest(runs=("nosuch",)), "RUN nosuch: no such run in the store; newest: 5555"),
    "several": (STORE, ReportRequest(runs=("e",)), "RUN e: several runs match: e1 (run e1), e2"),
    "not evaluated": ([*STORE, trained("d" * 32)], ReportRequest(runs=("ddd",)), "(run dddd"),
    "graders": (
        STORE,
        ReportRequest(runs=("g0", "e1")),
        "these do not share a table: 1 evaluation is by another grader",
    ),
    "experiment": (
        STORE,
        ReportRequest(experiment="othr"),
        "--experiment othr: has no finished evaluation; nearest: other",
    ),
    "tag": (STORE, ReportRequest(tags={"team": "green"}), "no evaluation matches; values of that tag: blue, red"),
    "no such tag": (
        STORE,
        ReportRequest(tags={"x": "y"}),
        "--tag x=y: no evaluation matches; no evaluation has that tag",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_what_is_there(name: str) -> None:
    runs, request, says = MISTAKES[name]
    with pytest.raises(UserError) as told:
        select(runs, request)
    assert says in str(told.value)


def test_a_file_says_which_run_fills_which_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text(
        "rows:\n"
        "  - {family: My own, model: Mine-7B, method: grpo, verifier: model, run: f9}\n"
        "  - {run: [e2, aaaa]}\n"
        "  - {method: icpo, setting: coarse, run: e1}\n"
    )
    first, second, third = select(STORE, ReportRequest(rows=read_rows(path))).rows
    assert first.title == "Mine-7B GRPO" and (first.variant.family, first.variant.verifier) == ("My own", "model")
    assert second.scores["gpqa"].run_id == "e2" and second.variant.method == "icpo"
    assert third.title == "Qwen2.5-7B ICPO (coarse)" and third.scores["gpqa"].run_id == "e1"
    assert (
        accuracy_table(Selection((first,), select(STORE, ReportRequest()).versions), 1, False).data["rows"][0]["group"]
        == "My own"
    )


ROWS = {
    "no file": (None, "rows.yaml: no such file"),
    "not a list": ("rows: 3", "rows.yaml: must have the key 'rows' alone, a list of {family, model, method"),
    "empty": ("rows: []", "must have the key 'rows' alone"),
    "more": ("rows: [{run: e1}]\nx: 1", "must have the key 'rows' alone"),
    "a key": ("rows: [{rnu: e1}]", "row 1: unknown key 'rnu'; nearest: run"),
    "no run": ("rows: [{run: e1}, {model: x}]", "row 2: 'run' must name a run"),
    "a number": ("rows: [{run: 123}]", "row 1: 'run' must name a run, or a list of them, in quotes"),
    "a verifier": ("rows: [{run: e1, verifier: rules}]", "row 1: verifier: unknown 'rules'; nearest: rule"),
    "not text": ("rows: [{run: e1, model: 7}]", "row 1: 'model' must be a text, not 7"),
    "not YAML": ("rows: [", "not valid YAML"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_in_the_file_of_rows(name: str, tmp_path: Path) -> None:
    text, says = ROWS[name]
    if text is not None:
        (tmp_path / "rows.yaml").write_text(text)
    with pytest.raises(UserError) as told:
        read_rows(tmp_path / "rows.yaml")
    assert says in str(told.value) and len(str(told.value).splitlines()) == 1
