"""A report as LaTeX with booktabs: a document that compiles as it is, whose tables can be taken out of it."""

from collections.abc import Sequence

from icpo_cli.report.formats.plain import one_line
from icpo_cli.report.grid import PARTIAL_MARK, Document, Grid, GridCell, Header, Rank

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
    tables = [_table(grid.title, part, grid) for grid in document.grids for part in _pages(grid)]
    notes = [f"\\noindent {text(note)}\\par\\smallskip\n" for note in document.notes]
    return "".join([HEAD, *tables, *notes, TAIL])


def text(raw: str) -> str:
    """As it is written: nothing in it is a command. What the fonts lack is named by its code point."""
    return "".join(ESCAPED.get(char) or _plain(char) for char in one_line(raw))


def _plain(char: str) -> str:
    return char if char.isascii() else rf"\texttt{{U+{ord(char):04X}}}"


def _pages(grid: Grid) -> list[list[str]]:
    """The table's lines, as many to a page as it holds."""
    lines = []
    for place, group in enumerate(grid.groups):
        if place:
            lines.append("\\midrule\n")
        if group.title:
            lines.append(f"\\multicolumn{{{len(grid.headers)}}}{{c}}{{\\textbf{{{text(group.title)}}}}} \\\\\n")
        lines += [_line([_cell(cell) for cell in row]) for row in group.rows]
    return [lines[start : start + LINES_A_PAGE] for start in range(0, len(lines), LINES_A_PAGE)]


def _table(title: str, lines: Sequence[str], grid: Grid) -> str:
    columns = "".join("r" if header.numeric else "l" for header in grid.headers)
    footnotes = "".join(f"\\par\\smallskip\\textsuperscript{{{text(m)}}} {text(note)}\n" for m, note in grid.footnotes)
    return (
        "\\begin{table}[ht]\n\\centering\n"
        f"\\caption{{{text(title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{_heading(grid.headers)}\\midrule\n{''.join(lines)}\\bottomrule\n\\end{{tabular}}}}\n"
        f"{footnotes}\\end{{table}}\n\n"
    )


def _heading(headers: Sequence[Header]) -> str:
    names = _line([text(header.name) for header in headers])
    if not any(header.below for header in headers):
        return names
    return names + _line([text(header.below) for header in headers])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\\n"


def _cell(cell: GridCell) -> str:
    shown = text(cell.text)
    if cell.rank is not None:
        shown = f"\\textbf{{{shown}}}" if cell.rank is Rank.BEST else f"\\underline{{{shown}}}"
    if cell.error:
        shown += f" $\\pm$ {text(cell.error)}"
    return shown + (f"\\textsuperscript{{{text(cell.marks)}}}" if cell.marks else "")
