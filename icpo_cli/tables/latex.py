"""Tables as a LaTeX document with booktabs; it compiles as it is, and single tables can be copied out of it."""

from collections.abc import Sequence

from icpo_cli.tables.table import PARTIAL_MARK, Cell, Column, Document, Rank, Table
from icpo_cli.text import one_line

HEAD = r"""% Compiles as it is. In a paper: the tables alone, with booktabs and graphicx.
\documentclass{article}
\usepackage[landscape, margin=1.5cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""
TAIL = "\\end{document}\n"
LINES_A_PAGE = 30
ESCAPED = {
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


def to_latex(document: Document) -> str:
    tables = [_table(table, part) for table in document.tables for part in _pages(table)]
    notes = [f"\\noindent {text(note)}\\par\\smallskip\n" for note in document.notes]
    return "".join([HEAD, *tables, *notes, TAIL])


def text(raw: str) -> str:
    """Escaped: nothing in it is a command. A character that the fonts lack is named by its code point."""
    return "".join(ESCAPED.get(char) or _plain(char) for char in one_line(raw))


def _plain(char: str) -> str:
    return char if char.isascii() else rf"\texttt{{U+{ord(char):04X}}}"


def _pages(table: Table) -> list[list[str]]:
    """The table's lines, LINES_A_PAGE to a page."""
    lines = []
    for index, (heading, rows) in enumerate(table.groups):
        if index:
            lines.append("\\midrule\n")
        if heading:
            lines.append(f"\\multicolumn{{{len(table.columns)}}}{{c}}{{\\textbf{{{text(heading)}}}}} \\\\\n")
        lines += [_line([_cell(cell) for cell in row]) for row in rows]
    return [lines[start : start + LINES_A_PAGE] for start in range(0, len(lines), LINES_A_PAGE)]


def _table(table: Table, lines: Sequence[str]) -> str:
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    footnotes = "".join(f"\\par\\smallskip\\textsuperscript{{{text(m)}}} {text(note)}\n" for m, note in table.footnotes)
    return (
        "\\begin{table}[ht]\n\\centering\n"
        f"\\caption{{{text(table.title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{_heading(table.columns)}\\midrule\n{''.join(lines)}\\bottomrule\n\\end{{tabular}}}}\n"
        f"{footnotes}\\end{{table}}\n\n"
    )


def _heading(columns: Sequence[Column]) -> str:
    names = _line([text(column.name) for column in columns])
    if not any(column.below for column in columns):
        return names
    return names + _line([text(column.below) for column in columns])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def _cell(cell: Cell) -> str:
    shown = text(cell.text)
    if cell.rank is not None:
        shown = f"\\textbf{{{shown}}}" if cell.rank is Rank.BEST else f"\\underline{{{shown}}}"
    if cell.error:
        shown += f" $\\pm$ {text(cell.error)}"
    return shown + (f"\\textsuperscript{{{text(cell.marks)}}}" if cell.marks else "")
