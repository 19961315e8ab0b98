"""A report as Markdown, which GitHub and most readers show with the marks: **best**, <ins>second</ins>."""

from collections.abc import Sequence
from html import escape

from icpo_cli.report.formats.plain import one_line
from icpo_cli.report.grid import Document, Grid, GridCell, Rank

SPECIAL = r"\`*_[]|"


def to_markdown(document: Document) -> str:
    lines = [f"# {text(document.title)}", ""]
    for grid in document.grids:
        if len(document.grids) > 1:
            lines += [f"## {text(grid.title)}", ""]
        lines += _table(grid)
        lines += [f"<sup>{escape(mark)}</sup> {text(note)}\n" for mark, note in grid.footnotes]
    lines += [f"{text(note)}\n" for note in document.notes]
    return "\n".join(lines).rstrip() + "\n"


def text(raw: str) -> str:
    """In one line, and as it is written: no markup, no HTML, no end of a cell."""
    return "".join(f"\\{char}" if char in SPECIAL else escape(char, quote=False) for char in one_line(raw))


def _table(grid: Grid) -> list[str]:
    lines = [_line([text(f"{header.name} {header.below}".strip()) for header in grid.headers])]
    lines.append(_line(["---:" if header.numeric else "---" for header in grid.headers]))
    for group in grid.groups:
        if group.title:
            lines.append(_line([f"**{text(group.title)}**", *[""] * (len(grid.headers) - 1)]))
        lines += [_line([_cell(cell) for cell in row]) for row in group.rows]
    return [*lines, ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: GridCell) -> str:
    shown = text(cell.text)
    if cell.rank is not None:
        shown = f"**{shown}**" if cell.rank is Rank.BEST else f"<ins>{shown}</ins>"
    if cell.error:
        shown += f" ± {text(cell.error)}"
    return shown + (f"<sup>{escape(cell.marks)}</sup>" if cell.marks else "")
