"""Every format: numbers and marks where they belong, and names that hold what the format would act on."""

import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from icpo_cli.report.accuracy_table import accuracy_table
from icpo_cli.report.baseline import baseline_report
from icpo_cli.report.paper import paper_rows
from icpo_cli.report.select import ReportRequest, select
from icpo_cli.tables.document import Cell, Column, Document, Highlight, Table, footnote_mark
from icpo_cli.tables.formats import FORMATS, html_tables
from icpo_cli.tables.terminal import print_document
from tests.report.runs import evaluated

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b `c` *d* [e](f) _g_",
    r"\input{/etc/passwd} $x^2$ 50% #1 & ~ {} \\",
    "\x1b[31mred\x07 [bold]rich[/bold]",
    "\u202eevil שלום 中文 é — ω\nnew line",
]


def hostile_report() -> Document:
    runs = [
        evaluated(
            f"e{place}", {"gpqa": 30.0 + place, "aime24": 5.0}, model=name, source="responses", partial=place == 1
        )
        for place, name in enumerate(HOSTILE)
    ]
    return accuracy_table(select(runs, ReportRequest()), 1, errors=True)


DOCUMENT = Document(
    "A title",
    (
        Table(
            "Numbers",
            (Column("Model", numeric=False), Column("GPQA", "Avg@4"), Column("Math")),
            (
                ("First", ((Cell("x"), Cell("1.0", "0.5", Highlight.BEST, "†,a"), Cell("2.0")),)),
                ("", ((Cell("y"), Cell("0.5", highlight=Highlight.SECOND), Cell("–")),)),
            ),
            (("†", "Partial."), ("a", "Other.")),
        ),
    ),
    ("A note.",),
)


def test_markdown() -> None:
    assert FORMATS["md"](DOCUMENT) == (
        "# A title\n\n"
        "| Model | GPQA Avg@4 | Math |\n"
        "| --- | ---: | ---: |\n"
        "| **First** |  |  |\n"
        "| x | **1.0** ± 0.5<sup>†,a</sup> | 2.0 |\n"
        "| y | <ins>0.5</ins> | – |\n\n"
        "<sup>†</sup> Partial.\n\n"
        "<sup>a</sup> Other.\n\n"
        "A note.\n"
    )


def test_latex() -> None:
    text = FORMATS["tex"](DOCUMENT)
    lines = text.splitlines()
    start = lines.index("\\toprule")
    assert lines[start : start + 9] == [
        "\\toprule",
        "Model & GPQA & Math \\\\",
        " & Avg@4 &  \\\\",
        "\\midrule",
        "\\multicolumn{3}{c}{\\textbf{First}} \\\\",
        "x & \\textbf{1.0} $\\pm$ 0.5\\textsuperscript{\\dag{},a} & 2.0 \\\\",
        "\\midrule",
        "y & \\underline{0.5} & -- \\\\",
        "\\bottomrule",
    ]


def test_plain_text_has_marks_of_its_own() -> None:
    text = io.StringIO()
    print_document(DOCUMENT, Console(file=text, width=80))
    assert [line.rstrip() for line in text.getvalue().splitlines()] == [
        "A title",
        "Model         GPQA Math",
        "             Avg@4",
        "First",
        "x     1.0 ± 0.5¹†ᵃ  2.0",
        "y             0.5²    –",
        "¹ best, ² second",
        "† Partial.",
        "ᵃ Other.",
        "",
        "A note.",
    ]


def test_a_table_wider_than_the_terminal_goes_on_below() -> None:
    text = io.StringIO()
    print_document(hostile_report(), Console(file=text, width=80, force_terminal=True))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue()).splitlines()
    assert max(len(line) for line in lines if "±" in line or line.startswith("Model")) <= 80
    headings = [line.split() for line in lines if line.startswith("Model")]
    assert len(headings) == 3 and headings[0][:4] == ["Model", "Method", "Verifier", "MMLU-Pro"]
    assert [name for heading in headings for name in heading[3:]][-3:] == ["AIME24", "General", "Math"]


class Page(html.parser.HTMLParser):
    """Its elements, and its rows as texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def test_names_are_text_in_html() -> None:
    page = Page(FORMATS["html"](hostile_report()))
    assert not page.tags & {"script", "img", "a", "link", "iframe"}
    shown = {row[0] for row in page.rows}
    assert {*HOSTILE[:3], "\ufffd[31mred\ufffd [bold]rich[/bold]", "\ufffdevil שלום 中文 é — ω new line"} <= shown


def test_names_are_text_in_markdown() -> None:
    text = FORMATS["md"](hostile_report())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # Every line has the columns that the first has, however many pipes stand in names.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {13}
    assert "<script" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert r"a\|b \`c\` \*d\* \[e\](f) \_g\_" in text


def test_on_a_page_of_runs_a_number_leads_to_its_evaluation() -> None:
    report = hostile_report()
    links = re.findall(r'<a href="#run/(e\d)">', html_tables(report, links=True))
    assert sorted(links) == sorted(["e0", "e1", "e2", "e3", "e4"] * 2)  # of two benchmarks; a mean leads nowhere
    assert "<a " not in FORMATS["html"](report)


@pytest.mark.parametrize("kind", ["md", "csv", "tex", "html", "json"])
def test_no_format_passes_a_terminal_escape_on(kind: str) -> None:
    text = FORMATS[kind](hostile_report())
    assert ("\x1b" in text) == (kind == "csv")  # which is data, and not looked at on a terminal


def test_a_terminal_is_not_commanded() -> None:
    text = io.StringIO()
    print_document(hostile_report(), Console(file=text, width=200))
    assert "\x1b" not in text.getvalue() and "\x07" not in text.getvalue() and "\u202e" not in text.getvalue()
    assert "[bold]rich[/bold]" in text.getvalue()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="Debian's texlive-latex-recommended is not installed")
@pytest.mark.parametrize("name", ["hostile", "paper", "document"])
def test_latex_compiles_as_it_is(name: str, tmp_path: Path) -> None:
    ours = select([evaluated("e", {"gpqa": 30.0})], ReportRequest())
    report = {
        "hostile": hostile_report,
        "paper": lambda: baseline_report(ours, paper_rows(), "paper"),
        "document": lambda: DOCUMENT,
    }[name]()
    (tmp_path / "report.tex").write_text(FORMATS["tex"](report), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    assert b"Overfull \\hbox" not in done.stdout


def test_notes_have_letters_that_do_not_run_out() -> None:
    assert [footnote_mark(place) for place in (0, 24, 25, 26, 50)] == ["a", "z", "aa", "ab", "ba"]
