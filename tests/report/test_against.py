"""Our numbers beside the paper's: all of its rows as they stand, and differences worked by hand."""

import csv
import io
import math
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.report.accuracy_table import accuracy_table
from icpo_cli.report.baseline import baseline_report, differences, misprints
from icpo_cli.report.paper import PAPER, paper_rows, read_table
from icpo_cli.report.select import ReportRequest, Selection, select
from icpo_cli.tables.formats import FORMATS
from icpo_cli.track.read import PastRun
from tests.report.runs import evaluated, trained

SHARED = Path(__file__).parents[3] / "shared" / "paper" / "tables.csv"
SEVEN = dict.fromkeys(("mmlu_pro", "gpqa", "theoremqa", "webinstruct", "math500", "minerva", "aime24"), 50.0)


def selection(*runs: PastRun) -> Selection:
    return select(runs, ReportRequest())


def theirs_from(folder: Path, text: str) -> Path:
    path = folder / "theirs.csv"
    path.write_text(text)
    return path


@pytest.mark.skipif(not SHARED.is_file(), reason="the paper's tables are not at hand")
def test_the_papers_tables_are_shipped_unchanged() -> None:
    assert PAPER.read_bytes() == SHARED.read_bytes()


def test_all_42_rows_stand_as_they_are_in_every_format() -> None:
    with PAPER.open(newline="") as file:
        lines = list(csv.DictReader(file))
    report = baseline_report(selection(evaluated("e", SEVEN)), paper_rows(), "paper")
    assert len(lines) == 42 and report.data["theirs"] == lines
    cells = [line[column] for line in lines for column in list(line)[5:14]]
    [_, rows] = report.tables
    assert [cell.text for row in rows.rows for cell in row[4:]] == [c or "–" for c in cells]
    written = csv.DictReader(io.StringIO(FORMATS["csv"](report)))
    assert [line["printed"] for line in written] == [cell for cell in cells if cell]


def test_a_difference_worked_by_hand() -> None:
    # 198 questions, as GPQA has: their error is taken to be ours, so that of the difference is 2 x sqrt(2).
    ours = selection(evaluated("e", {"gpqa": 40.0}, n=198, stderr=2.0))
    first = next(each for each in differences(ours.rows, paper_rows()) if each.theirs.table == "table1")
    assert (first.column, first.value) == ("gpqa", pytest.approx(7.6))
    assert first.stderr == pytest.approx(2.8284, abs=1e-4)
    assert first.ci95 == pytest.approx((2.056, 13.144), abs=1e-3)
    # Student's t of 197 degrees: 1.97208 of 97.5 % and 0.84342 of 80 %.
    assert first.minimum_detectable_effect == pytest.approx(2.8284 * (1.97208 + 0.84342), abs=1e-3)
    assert first.verdict == "higher"


@pytest.mark.parametrize(
    ("ours", "stderr", "verdict"),
    [
        (37.9, 2.0, "cannot be told apart"),
        (38.0, 2.0, "higher"),
        (26.0, 2.0, "lower"),
        (32.4, 0.5, "cannot be told apart"),
    ],
)
def test_what_so_many_questions_can_tell_apart(ours: float, stderr: float, verdict: str) -> None:
    # The paper's 32.4; 1.96 x 2 x sqrt(2) = 5.54.
    chosen = selection(evaluated("e", {"gpqa": ours}, n=198, stderr=stderr))
    assert differences(chosen.rows, paper_rows())[0].verdict == verdict


def test_few_questions_of_ours_do_not_widen_their_error() -> None:
    chosen = selection(evaluated("e", {"aime24": 40.0}, n=10, stderr=6.0, partial=True))
    first = differences(chosen.rows, paper_rows())[0]
    assert first.stderr == pytest.approx(math.hypot(6.0, 6.0 * math.sqrt(10 / 30)))
    [table, _] = baseline_report(chosen, paper_rows(), "paper").tables
    assert table.rows[0][1].marks == "†" and table.footnotes[0][0] == "†"


def test_where_all_questions_are_alike_the_interval_says_what_there_is_to_say() -> None:
    # 0 of 30: the error is 0, the interval from -4 to 4 in this record.
    chosen = selection(evaluated("e", {"aime24": 0.0}, n=30, stderr=0.0))
    first = differences(chosen.rows, paper_rows())[0]
    assert first.stderr == pytest.approx(math.sqrt(2) * 8 / (2 * 1.959964)) and first.verdict == "lower"


def test_a_mean_is_compared_with_the_mean_of_their_cells() -> None:
    base = trained("t", "method=grpo", "model.path=meta-llama/Llama-3.1-8B-Instruct")
    llama = selection(
        base, evaluated("e", SEVEN, model="meta-llama/Llama-3.1-8B-Instruct"), evaluated("g", SEVEN, parent="t")
    )
    found = {(each.ours.variant.method, each.column): each for each in differences(llama.rows, paper_rows())}
    assert len(found) == 18
    assert found["base", "general"].value == pytest.approx(50 - 41.0)  # 40.5 is printed
    # The errors of four parts, each 2 of ours beside theirs by the benchmark's own count.
    assert found["grpo", "general"].their_score.avg_at_k == pytest.approx((49.3 + 36.0 + 32.0 + 60.2) / 4)
    assert misprints(paper_rows()) == [
        "Llama3.1-8B-Inst base: General is printed as 40.5; the mean of its cells, which is compared with, is 41.0",
        "Qwen2.5-3B base: Math is printed as 21.3; the mean of its cells, which is compared with, is 20.7",
    ]


def test_a_number_that_recurs_is_shown_once_and_is_in_the_csv_each_time() -> None:
    ours = selection(trained("t", "method=grpo"), evaluated("e", {"gpqa": 40.0}, parent="t"))
    report = baseline_report(ours, paper_rows(), "paper")
    [table, _] = report.tables
    assert [(heading, len(rows)) for heading, rows in table.groups] == [("Qwen2.5-7B GRPO, Table 1", 1)]
    assert [each["table"] for each in report.data["comparisons"]] == ["table1", "table3", "table4"]


def test_coarse_runs_are_compared_with_table_2() -> None:
    coarse = ["method=grpo", "data.train.source=file", "data.train.path=studies/c/coarse.jsonl"]
    ours = selection(trained("t", *coarse), evaluated("e", {"math500": 60.0}, parent="t"))
    [found] = differences(ours.rows, paper_rows())
    assert (found.theirs.table, found.their_score.avg_at_k) == ("table2", 56.2)


def test_schedules_are_compared_with_table_4() -> None:
    schedule = ["method=icpo", "method.omega.schedule=linear_decay"]
    usual = trained("u", "method=icpo")
    ours = selection(
        trained("t", *schedule),
        usual,
        evaluated("e", {"gpqa": 40.0}, parent="t"),
        evaluated("f", {"gpqa": 41.0}, parent="u"),
    )
    found = [(each.ours.variant.method, each.theirs.table) for each in differences(ours.rows, paper_rows())]
    assert found == [("icpo", "table1"), ("icpo", "table3"), ("icpo:linear_decay", "table4"), ("icpo", "table4")]


def test_ours_without_a_counterpart_are_named() -> None:
    report = baseline_report(selection(evaluated("e", {"gpqa": 1.0}, model="my-model")), paper_rows(), "paper")
    assert len(report.tables) == 1 and report.data["comparisons"] == []
    assert any("my-model base" in note for note in report.notes)


def test_our_own_csv_can_be_compared_with(tmp_path: Path) -> None:
    first = selection(evaluated("e", {"gpqa": 40.0, "math500": 70.0}))
    path = theirs_from(tmp_path, FORMATS["csv"](accuracy_table(first, 1, errors=False)))
    now = selection(evaluated("f", {"gpqa": 43.0, "math500": 71.0}, grader="5", stderr=1.5))
    found = differences(now.rows, read_table(path))
    assert [(each.column, each.value) for each in found] == [("gpqa", 3.0), ("math500", 1.0)]
    assert found[0].stderr == pytest.approx(2.5)  # theirs is in the file: sqrt(1.5² + 2²)
    assert found[0].notes == ["Graded by verifier 5, theirs by 4."]
    [table, _] = baseline_report(now, read_table(path), str(path)).tables
    assert table.rows[0][1].marks == "a" and table.footnotes == (("a", "Graded by verifier 5, theirs by 4."),)


HEAD = "model,method,gpqa\n"
FILES = {
    "no file": (None, "theirs.csv: no such file"),
    "empty": ("", "theirs.csv: no column 'model'; needed"),
    "no rows": (HEAD, "theirs.csv: has no rows"),
    "no benchmark": ("model,method\nx,base\n", "no column of a benchmark; they are called mmlu_pro, gpqa"),
    "a column": ("model,method,gpka\nx,base,1\n", "theirs.csv: unknown column 'gpka'; nearest: gpqa"),
    "twice": ("model,method,gpqa,gpqa\nx,base,1,1\n", "two columns are called 'gpqa'"),
    "a word": (f"{HEAD}x,base,1\ny,base,high\n", "theirs.csv:3: column 'gpqa' is 'high', not a number"),
    "nan": (f"{HEAD}x,base,nan\n", "theirs.csv:2: column 'gpqa' is 'nan', not a number"),
    "too much": (f"{HEAD}x,base,101\n", "accuracies are percent, from 0 to 100"),
    "short": (f"{HEAD}x,base\n", "theirs.csv:2: has fewer cells than the first line has columns"),
    "long": (f"{HEAD}x,base,1,2\n", "theirs.csv:2: has more cells"),
    "nameless": (f"{HEAD},base,1\n", "theirs.csv:2: column 'model' is empty"),
    "not UTF-8": (b"model,method,gpqa\n\xff,base,1\n", "not UTF-8"),
    "quotes": (f'{HEAD}"x,base,1\n', "not valid CSV"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_of_theirs(name: str, tmp_path: Path) -> None:
    text, says = FILES[name]
    path = tmp_path / "theirs.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as told:
        read_table(path)
    assert says in str(told.value) and len(str(told.value).splitlines()) == 1
