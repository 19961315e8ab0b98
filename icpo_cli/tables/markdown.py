"""Tables as Markdown; GitHub and most readers show the marks: **best**, <ins>second</ins>."""

from collections.abc import Sequence
from html import escape

from icpo_cli.tables.table import Cell, Document, Rank, Table
from icpo_cli.text import one_line

SPECIAL = r"\`*_[]|"


def to_markdown(document: Document) -> str:
    lines = [f"# {text(document.title)}", ""]
    for table in document.tables:
        if len(document.tables) > 1:
            lines += [f"## {text(table.title)}", ""]
        lines += _table(table)
        lines += [f"<sup>{escape(mark)}</sup> {text(note)}\n" for mark, note in table.footnotes]
    lines += [f"{text(note)}\n" for note in document.notes]
    return "\n".join(lines).rstrip() + "\n"


def plain_table(table: Table) -> str:
    """Pipe table that reads well unrendered: no alignment, and of the markup only what ends a cell is escaped."""
    lines = [tuple(column.name for column in table.columns), ("---",) * len(table.columns), *table.texts]
    return "".join(_line(list(map(plain_text, line))) + "\n" for line in lines)


def text(raw: str) -> str:
    """One line that is shown as it is written: no markup, no HTML, no end of a cell."""
    return "".join(f"\\{char}" if char in SPECIAL else escape(char, quote=False) for char in one_line(raw))


def plain_text(raw: str) -> str:
    """One line without the end of a cell."""
    return " ".join(raw.split()).replace("|", "\\|")


def _table(table: Table) -> list[str]:
    lines = [_line([text(f"{column.name} {column.below}".strip()) for column in table.columns])]
    lines.append(_line(["---:" if column.numeric else "---" for column in table.columns]))
    for heading, rows in table.groups:
        if heading:
            lines.append(_line([f"**{text(heading)}**", *[""] * (len(table.columns) - 1)]))
        lines += [_line([_cell(cell) for cell in row]) for row in rows]
    return [*lines, ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    shown = text(cell.text)
    if cell.rank is not None:
        shown = f"**{shown}**" if cell.rank is Rank.BEST else f"<ins>{shown}</ins>"
    if cell.error:
        shown += f" ± {text(cell.error)}"
    return shown + (f"<sup>{escape(cell.marks)}</sup>" if cell.marks else "")
