"""A document as Markdown, LaTeX, HTML, CSV or JSON. Every format but CSV and JSON escapes untrusted text."""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from icpo_cli.tables.document import PARTIAL_MARK, Cell, Document, Table
from icpo_cli.text import one_line

MARKDOWN = {"best": "**%s**", "second": "<ins>%s</ins>", "marks": "<sup>%s</sup>"}
LATEX = {"best": r"\textbf{%s}", "second": r"\underline{%s}", "marks": r"\textsuperscript{%s}"}
MARKDOWN_SPECIAL = r"\`*_[]|"
LATEX_HEAD = r"""% Compiles as it is. In a paper: the tables alone, with booktabs and graphicx.
\documentclass{article}
\usepackage[landscape, margin=1.5cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""
LINES_A_PAGE = 30
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "-": "-{}",  # two in a row are not a dash
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "–": "--",
    "’": "'",
    "⇒": r"$\Rightarrow$",
    "ω": r"$\omega$",
    PARTIAL_MARK: r"\dag{}",
}


def to_markdown(document: Document) -> str:
    """Markdown; GitHub and most readers show the marks: **best**, <ins>second</ins>."""
    lines = [f"# {_markdown(document.title)}", ""]
    for table in document.tables:
        if len(document.tables) > 1:
            lines += [f"## {_markdown(table.title)}", ""]
        lines.append(_pipes(_markdown(f"{column.name} {column.below}".strip()) for column in table.columns))
        lines.append(_pipes("---:" if column.numeric else "---" for column in table.columns))
        for heading, rows in table.groups:
            if heading:
                lines.append(_pipes([f"**{_markdown(heading)}**", *[""] * (len(table.columns) - 1)]))
            lines += [_pipes(_marked(cell, _markdown, MARKDOWN) for cell in row) for row in rows]
        lines += ["", *(f"<sup>{_markdown(mark)}</sup> {_markdown(note)}\n" for mark, note in table.footnotes)]
    lines += [f"{_markdown(note)}\n" for note in document.notes]
    return "\n".join(lines).rstrip() + "\n"


def _marked(cell: Cell, escaped: Callable[[str], str], markup: Mapping[str, str]) -> str:
    """The cell's text with its error and marks."""
    shown = escaped(cell.text)
    if cell.highlight is not None:
        shown = markup[cell.highlight.value] % shown
    if cell.error:
        shown += f" {escaped('±')} {escaped(cell.error)}"
    return shown + (markup["marks"] % escaped(cell.marks) if cell.marks else "")


def plain_table(table: Table) -> str:
    """Pipe table that reads well unrendered: no alignment, and of the markup only what ends a cell is escaped."""
    lines = [tuple(column.name for column in table.columns), ("---",) * len(table.columns), *table.texts]
    return "".join(f"{_pipes(map(plain_text, line))}\n" for line in lines)


def plain_text(raw: str) -> str:
    """One line without the end of a cell."""
    return " ".join(raw.split()).replace("|", "\\|")


def _markdown(raw: str) -> str:
    """One line that is shown as it is written: no markup, no HTML, no end of a cell."""
    return "".join(f"\\{char}" if char in MARKDOWN_SPECIAL else escape(char, quote=False) for char in one_line(raw))


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_latex(document: Document) -> str:
    """LaTeX document with booktabs; it compiles as it is, and single tables can be copied out of it."""
    tables = [_latex_table(table, part) for table in document.tables for part in _latex_pages(table)]
    notes = [f"\\noindent {_latex(note)}\\par\\smallskip\n" for note in document.notes]
    return "".join([LATEX_HEAD, *tables, *notes, "\\end{document}\n"])


def _latex_pages(table: Table) -> list[list[str]]:
    """The table's lines, LINES_A_PAGE to a page."""
    lines = []
    for index, (heading, rows) in enumerate(table.groups):
        if index:
            lines.append("\\midrule\n")
        if heading:
            lines.append(f"\\multicolumn{{{len(table.columns)}}}{{c}}{{\\textbf{{{_latex(heading)}}}}} \\\\\n")
        lines += [_latex_line(_marked(cell, _latex, LATEX) for cell in row) for row in rows]
    return [lines[start : start + LINES_A_PAGE] for start in range(0, len(lines), LINES_A_PAGE)]


def _latex_table(table: Table, lines: Sequence[str]) -> str:
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    heading = _latex_line(_latex(column.name) for column in table.columns)
    if any(column.below for column in table.columns):
        heading += _latex_line(_latex(column.below) for column in table.columns)
    footnotes = "".join(f"\\par\\smallskip\\textsuperscript{{{_latex(m)}}} {_latex(n)}\n" for m, n in table.footnotes)
    return (
        "\\begin{table}[ht]\n\\centering\n"
        f"\\caption{{{_latex(table.title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n"
        f"{heading}\\midrule\n{''.join(lines)}\\bottomrule\n\\end{{tabular}}}}\n"
        f"{footnotes}\\end{{table}}\n\n"
    )


def _latex(raw: str) -> str:
    """Escaped: nothing in it is a command. A character that the fonts lack is named by its code point."""
    return "".join(
        LATEX_SPECIAL.get(char) or (char if char.isascii() else rf"\texttt{{U+{ord(char):04X}}}")
        for char in one_line(raw)
    )


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def to_html(document: Document) -> str:
    """Whole page; its Content-Security-Policy allows its own style sheet and nothing else."""
    pages = html_environment("icpo_cli.tables", one_line)
    style = source_of(pages, "document.css")
    return pages.get_template("document.html").render(document=document, style=style, style_hash=policy_hash(style))


def html_tables(document: Document, links: bool = False) -> Markup:
    """Tables and notes as a fragment for another page.

    `links`: a number links to its evaluation on the same page, #run/ID.
    """
    module = html_environment("icpo_cli.tables", one_line).get_template("tables.html").module
    return Markup(module.tables(document, links))  # type: ignore[attr-defined]


def html_environment(package: str, shown: Callable[[str], str]) -> Environment:
    """Templates of a package. Every text that they insert goes through `shown` and is then escaped."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )


def source_of(environment: Environment, name: str) -> Markup:
    """A template folder's style sheet or script, to be inserted unchanged."""
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def policy_hash(source: str) -> str:
    """Hash of an inline script or style, as in a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def to_csv(lines: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """CSV text with those columns, by default the first line's; numbers are not rounded, None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(lines[0] if lines else ()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


FORMATS: dict[str, Callable[[Document], str]] = {
    "md": to_markdown,
    "csv": lambda document: to_csv(document.lines),
    "tex": to_latex,
    "html": to_html,
    "json": lambda document: json.dumps(document.data, indent=2) + "\n",
}
"""By file name ending. The terminal has its own: tables/terminal.py."""
