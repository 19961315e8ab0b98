"""`icpo report` on evaluations that `icpo eval --responses` made: three models, the seven benchmarks whole."""

import contextlib
import csv
import html.parser
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from icpo_cli.__main__ import main
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.mlflow_store import MlflowStore
from tests.report.stores import Made

MODELS = {"Qwen/Qwen2.5-3B": 3, "Qwen/Qwen2.5-7B": 5, "Qwen/Qwen2.5-14B": 6}
"""And of ten responses how many are right, about."""
NAMES = ["Qwen2.5-3B", "Qwen2.5-7B", "Qwen2.5-14B"]
GENERAL, MATH = ["mmlu_pro", "gpqa", "theoremqa", "webinstruct"], ["math500", "minerva", "aime24"]
COLUMNS = [*GENERAL, *MATH, "general", "math"]


@dataclass(frozen=True)
class Evaluated:
    """A working directory with a store, and the accuracies counted from the files that were graded."""

    folder: Path
    expected: dict[str, dict[str, float]]
    """By model's name and column, percent."""
    run_ids: dict[str, str]


def rlpr_stem(name: str) -> str:
    return next(source.stem for source in BENCHMARKS[name].sources if "_Avg" in source.stem)


def write_questions(folder: Path, name: str) -> dict[str, str]:
    """Write all questions of a benchmark in RLPR's format; their golds by id."""
    lettered = BENCHMARKS[name].kinds == ("letter",)
    golds = {n: "ABCD"[n % 4] if lettered else str(n) for n in range(BENCHMARKS[name].count)}
    rows = [
        {"prompt": [{"role": "user", "content": f"question {n}"}], "reward_model": {"ground_truth": gold}}
        for n, gold in golds.items()
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{rlpr_stem(name)}.parquet")
    return {f"{name}/rlpr/{n}": gold for n, gold in golds.items()}


def is_right(model: str, name: str, n: int, response: int) -> bool:
    """Equal for all models on AIME24."""
    of_ten = 4 if name == "aime24" else MODELS[model] + len(name) % 3
    return (7 * n + 3 * response + len(name)) % 10 < of_ten


def counted(folder: Path, model: str, golds: dict[str, dict[str, str]]) -> dict[str, float]:
    """Accuracies from responses and golds alone: the mean over questions of the share that says the gold."""
    shares: dict[str, list[float]] = {name: [] for name in golds}
    for line in (folder / f"{NAMES[list(MODELS).index(model)]}.jsonl").read_text().splitlines():
        row = json.loads(line)
        name = row["id"].split("/")[0]
        said = [re.findall(r"<answer> (.*) </answer>", text)[0] for text in row["responses"]]
        shares[name].append(sum(answer == golds[name][row["id"]] for answer in said) / len(said))
    found = {name: 100 * sum(each) / len(each) for name, each in shares.items()}
    means = {group: sum(found[name] for name in of) / len(of) for group, of in (("general", GENERAL), ("math", MATH))}
    return found | means


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Evaluated:
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copy(empty_store, folder)
    golds = {name: write_questions(folder, name) for name in BENCHMARKS}
    run_ids = {}
    for model, name in zip(MODELS, NAMES, strict=True):
        lines = []
        for bench, of_bench in golds.items():
            for n, (id, gold) in enumerate(of_bench.items()):
                rights = [is_right(model, bench, n, response) for response in range(BENCHMARKS[bench].k)]
                texts = [f"<answer> {gold if right else 'E' if gold in 'ABCD' else -1} </answer>" for right in rights]
                lines.append(json.dumps({"id": id, "responses": texts}) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines))
        settings = ["--responses", f"{name}.jsonl", "eval.data_dir=.", "--json"]
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["icpo", "eval", "--bench", "all", "--model", model, *settings])
            main()
        assert not ended.value.code
        run_ids[name] = json.loads(out.getvalue())["run_id"]
    expected = {name: counted(folder, model, golds) for model, name in zip(MODELS, NAMES, strict=True)}
    return Evaluated(folder, expected, run_ids)


@pytest.fixture
def report(evaluated: Evaluated, icpo_here: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(evaluated.folder)
    return lambda *arguments: icpo_here("report", *arguments)


def printed(numbers: dict[str, float]) -> list[str]:
    return [f"{numbers[column]:.1f}" for column in COLUMNS]


def marks_of(expected: dict[str, dict[str, float]]) -> dict[tuple[str, str], str]:
    """Table 1's rule, of numbers as they are printed."""
    marks: dict[tuple[str, str], str] = {}
    for place, column in enumerate(COLUMNS):
        values = {name: float(printed(numbers)[place]) for name, numbers in expected.items()}
        best, second, *_ = [*sorted(set(values.values()), reverse=True), None]
        marks |= {(name, column): "best" for name, value in values.items() if value == best}
        marks |= {(name, column): "second" for name, value in values.items() if value == second}
    return marks


def test_csv_and_json_hold_the_numbers_that_the_files_give(evaluated: Evaluated, report: Callable) -> None:
    lines = {line["model"]: line for line in csv.DictReader(io.StringIO(report("--format", "csv").out))}
    rows = {row["model"]: row for row in report("--format", "json").document["rows"]}
    assert list(lines) == list(rows) == NAMES
    marks = marks_of(evaluated.expected)
    for name, numbers in evaluated.expected.items():
        for column in COLUMNS:
            assert float(lines[name][column]) == pytest.approx(numbers[column], abs=1e-9), (name, column)
            assert rows[name]["cells"][column]["avg_at_k"] == pytest.approx(numbers[column], abs=1e-9), (name, column)
            assert rows[name]["cells"][column]["rank"] == marks.get((name, column))
        assert rows[name]["cells"]["gpqa"]["run"] == evaluated.run_ids[name] == lines[name]["gpqa_run"]
        assert (lines[name]["aime24_n"], lines[name]["aime24_k"], lines[name]["aime24_partial"]) == (
            "30",
            "16",
            "false",
        )
    assert len({marks.get((name, "aime24")) for name in NAMES}) == 1  # all tie, and share the mark


class Rows(html.parser.HTMLParser):
    """A table's cells as [text, mark]."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[list[str]]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(["", ""])
            self.inside = True
        classes = dict(attrs).get("class")
        if classes in ("best", "second"):
            self.rows[-1][-1][1] = classes

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1][0] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")


def read_html(text: str) -> dict[str, list[list[str]]]:
    return {row[0][0]: row[3:] for row in Rows(text).rows if len(row) == 12}


def read_markdown(text: str) -> dict[str, list[list[str]]]:
    forms = {"best": r"\*\*(.*)\*\*", "second": r"<ins>(.*)</ins>"}
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found = [(mark, re.fullmatch(form, cell)) for cell in cells for mark, form in [*forms.items(), ("", "(.*)")]]
        rows[cells[0]] = [
            next([match[1], mark] for mark, match in found[3 * place : 3 * place + 3] if match)
            for place in range(3, len(cells))
        ]
    return rows


def read_latex(text: str) -> dict[str, list[list[str]]]:
    marks = {"textbf": "best", "underline": "second"}
    rows = {}
    for line in text.splitlines():
        cells = line.removesuffix(" \\\\").split(" & ")
        found = [re.fullmatch(r"\\(textbf|underline)\{(.*)\}", cell) for cell in cells]
        rows[cells[0].replace("-{}", "-")] = [
            [match[2], marks[match[1]]] if match else [cell, ""] for cell, match in zip(cells, found, strict=True)
        ][3:]
    return rows


@pytest.mark.parametrize(("kind", "read"), [("html", read_html), ("md", read_markdown), ("tex", read_latex)])
def test_what_is_read_holds_the_numbers_and_table_1s_marks(
    kind: str, read: Callable[[str], dict[str, list[list[str]]]], evaluated: Evaluated, report: Callable
) -> None:
    rows = read(report("--format", kind).out)
    marks = marks_of(evaluated.expected)
    for name, numbers in evaluated.expected.items():
        wanted = [[text, marks.get((name, column), "")] for text, column in zip(printed(numbers), COLUMNS, strict=True)]
        assert rows[name] == wanted, name


def test_the_terminals_table_has_headings_numbers_and_errors_on_demand(evaluated: Evaluated, report: Callable) -> None:
    out = report().out
    assert "Qwen Models" in out and out.splitlines()[2].split()[:7] == [f"Avg@{k}" for k in (2, 4, 2, 2, 2, 2, 16)]
    for name, numbers in evaluated.expected.items():
        [line] = [line for line in out.splitlines() if line.startswith(name)]
        assert re.findall(r"\d+\.\d(?=[¹²\s]|$)", line)[-9:] == printed(numbers)
    stored = json.loads((evaluated.folder / "evals" / evaluated.run_ids[NAMES[0]] / "result.json").read_text())
    [stderr] = [result["stderr"] for result in stored["results"] if result["bench"] == "gpqa"]
    assert f" ± {stderr:.1f}" in next(line for line in report("--stderr").out.splitlines() if line.startswith(NAMES[0]))


def test_against_the_paper(evaluated: Evaluated, report: Callable) -> None:
    document = report("--against", "paper", "--format", "json").document
    assert len(document["theirs"]) == 42
    found = {(each["ours"]["model"], each["table"], each["bench"]): each for each in document["comparisons"]}
    gpqa = found["Qwen2.5-7B", "table1", "gpqa"]
    assert gpqa["difference"] == pytest.approx(evaluated.expected["Qwen2.5-7B"]["gpqa"] - 32.4)
    assert gpqa["verdict"] == "higher" and 0 < gpqa["minimum_detectable_effect"] < 20
    assert ("Qwen2.5-3B", "table3", "math") in found and ("Qwen2.5-3B", "table1", "math") not in found
    second = report("--against", "paper", "--table", "2", "--format", "json").document
    assert [row["printed_as"] for row in second["theirs"]] == ["Baseline", "+ GRPO", "+ ICPO"]
    out = report("--against", "paper").out
    assert "Qwen2.5-7B base, Table 1" in out and "Qwen3-4B" in out and "its own graders" in out


def test_a_table_against_one_of_our_own(evaluated: Evaluated, report: Callable, tmp_path: Path) -> None:
    before = tmp_path / "before.csv"
    assert report("--out", str(before)).out == f"{before}\n"
    document = report("--against", str(before), "--format", "json").document
    assert len(document["comparisons"]) == 27 and {each["difference"] for each in document["comparisons"]} == {0.0}


def test_other_layouts(report: Callable) -> None:
    third = report("--table", "3").out
    assert "Qwen2.5-Base Models" in third and third.index("Qwen2.5-3B") < third.index("Qwen2.5-14B")
    second = report("--table", "2").out
    assert second.count("Baseline") == 3 and "AIME24" not in second
    assert "Not in this table" in report("--table", "4").out


def test_runs_and_rows_choose(evaluated: Evaluated, report: Callable, tmp_path: Path) -> None:
    first = evaluated.run_ids[NAMES[0]]
    assert [row["model"] for row in report(first[:12], "--format", "json").document["rows"]] == NAMES[:1]
    rows = tmp_path / "rows.yaml"
    rows.write_text(f"rows:\n  - {{model: Qwen2.5-7B, method: icpo, verifier: rule, run: '{first}'}}\n")
    document = report("--rows", str(rows), "--against", "paper", "--table", "1", "--format", "json").document
    icpo = [each for each in document["comparisons"] if each["bench"] == "gpqa"]
    assert [each["theirs"] for each in icpo] == [39.4]


def test_the_page_holds_the_tables(evaluated: Evaluated, report: Callable, tmp_path: Path) -> None:
    done = report("--against", "paper", "--table", "1", "--out", str(tmp_path / "page"))
    assert (done.status, done.out.strip()) == (0, str(tmp_path / "page" / "index.html"))
    text = (tmp_path / "page" / "index.html").read_text()
    rows = read_html(text)
    for name, numbers in evaluated.expected.items():
        assert [cell for cell, _ in rows[name]] == printed(numbers)
    assert "Compared with the paper" in text and "Rows of the paper" in text


def test_an_output_is_replaced_and_a_place_that_cannot_be_written_is_said(report: Callable, tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    out.write_text("old")
    assert report("--out", str(out)).status == 0 and out.read_text().startswith("# Table 1")
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
    plain = tmp_path / "plain"
    assert report("--format", "rich", "--out", str(plain)).status == 0 and "\x1b" not in plain.read_text()
    for place, says in {
        tmp_path: "is a folder; name a file",
        tmp_path / "no" / "t.md": "cannot be written: No such",
    }.items():
        done = report("--format", "md", "--out", str(place))
        assert (done.status, done.out) == (2, "") and says in done.err


MISTAKES = {
    "format": (["--format", "pdf"], "--format: unknown format 'pdf'; allowed: rich, md, csv, tex, html, json"),
    "table": (["--table", "5"], "--table: 5: no such table; allowed: 1, 2, 3, 4"),
    "tag": (["--tag", "team"], "--tag team: must be KEY=VALUE"),
    "run": (["nosuch"], "RUN nosuch: no such run in the store"),
    "rows and runs": (["x", "--rows", "rows.yaml"], "--rows: not together with RUN"),
    "rows": (["--rows", "nothing.yaml"], "nothing.yaml: no such file"),
    "theirs": (["--against", "papr"], "--against papr: no such file, and not 'paper'"),
    "experiment": (["--experiment", "none"], "--experiment none: has no finished evaluation; "),
    "store": (["--store", "nothing.db"], "nothing.db: no such MLflow store"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(name: str, report: Callable) -> None:
    arguments, says = MISTAKES[name]
    done = report(*arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and len(done.err.strip().splitlines()) == 1


def test_no_store_and_no_evaluation(
    icpo_here: Callable, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = icpo_here("report")
    assert done.status == 2 and "mlflow.db" in done.err and list(tmp_path.iterdir()) == []
    shutil.copy(empty_store, tmp_path)
    MlflowStore.create(None, "icpo", "training").end(Status.DONE)
    done = icpo_here("report")
    assert (done.status, done.out) == (2, "")
    assert "the store has no finished evaluation: `icpo eval` makes one" in done.err


@pytest.mark.parametrize(
    ("named", "listed"),
    [("failed", ["failed"]), ("study", ["study", "grpo", "icpo", "eval_grpo", "eval_icpo", "eval_partial"])],
)
def test_a_page_of_named_runs_has_what_stands_under_them_evaluated_or_not(
    named: str,
    listed: list[str],
    made_store: Made,
    icpo_here: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(made_store.folder)
    done = icpo_here("report", getattr(made_store, named), "--out", str(tmp_path))
    assert done.status == 0, done.err
    page = (tmp_path / "index.html").read_text()
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert {run["id"] for run in json.loads(data)["runs"]} == {getattr(made_store, name) for name in listed}
    assert ("No evaluation fills a table" in page) == (named == "failed")


def test_nothing_heavy_is_imported(evaluated: Evaluated) -> None:
    heavy = "torch", "vllm", "deepspeed", "transformers", "mlflow", "datasets"
    program = (
        "import sys\nfrom icpo_cli.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    for arguments in (["report"], ["report", "--against", "paper", "--format", "tex"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=evaluated.folder,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.strip() == "[]"
