"""Tables on a terminal, or as plain text."""

import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from icpo_cli.tables.document import LETTERS, Cell, Document, Highlight, Table, text_table
from icpo_cli.text import one_line, printable

WHOLE_LINES = 500
"""Width that keeps paths and keys on one line when output is piped."""
RAISED = str.maketrans(LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", ",")
STYLES = {Highlight.BEST: "bold", Highlight.SECOND: "underline"}
PLAIN = {Highlight.BEST: "¹", Highlight.SECOND: "²"}
"""Marks of highlights where the output has no styles."""
WIDEST_NAME = 32
"""Characters of a name in one line; a longer one continues on the next line."""


def stdout_console(piped_width: int = 160) -> Console:
    """Console on stdout, as wide as the terminal; `piped_width` where stdout is no terminal."""
    return Console(width=None if sys.stdout.isatty() else piped_width, highlight=False)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print texts on stdout as a table; where output is piped, lines are not folded below WHOLE_LINES."""
    stdout_console(WHOLE_LINES).print(to_rich(text_table(headers, rows)))


def to_rich(table: Table, collapse_padding: bool = False) -> rich_table.Table:
    """A table of plain texts in rich's form: no box, long cells folded; highlights, marks and groups are not shown."""
    shown = rich_table.Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=collapse_padding)
    for column in table.columns:
        shown.add_column(Text(printable(column.name)), justify=_justify(column.numeric), overflow="fold")
    for row in table.texts:
        shown.add_row(*(Text(printable(text)) for text in row))
    return shown


def print_document(document: Document, console: Console) -> None:
    """Print all tables and notes. A table wider than the console continues below, with its names repeated."""
    console.print(Text(one_line(document.title), style="bold"), soft_wrap=True)
    for table in document.tables:
        if len(document.tables) > 1:
            console.print(Text(f"\n{one_line(table.title)}", style="bold"), soft_wrap=True)
        _print_highlighted(table, console)
    for note in document.notes:
        console.print(Text(f"\n{one_line(note)}"), soft_wrap=True)


def _print_highlighted(table: Table, console: Console) -> None:
    styled = console.is_terminal
    room = [_marks_room(table, index, styled) for index in range(len(table.columns))]
    widths = [_width(table, index, width) for index, width in enumerate(room)]
    parts = _parts(table, widths, console.width)
    for columns in parts:
        if columns is not parts[0]:
            console.print()
        console.print(_heading(table, columns, widths, room))
        for heading, rows in table.groups:
            if heading:
                console.print(Text(one_line(heading), style="italic"), soft_wrap=True)
            shown = _empty(table, columns, widths)
            for row in rows:
                shown.add_row(*(_text(row[index], room[index], styled) for index in columns))
            console.print(shown)
    if not styled and any(cell.highlight for row in table.rows for cell in row):
        console.print(Text(f"{PLAIN[Highlight.BEST]} best, {PLAIN[Highlight.SECOND]} second"))
    for mark, note in table.footnotes:
        console.print(Text(f"{mark.translate(RAISED)} {one_line(note)}"), soft_wrap=True)


def _parts(table: Table, widths: Sequence[int], console_width: int) -> list[list[int]]:
    """Column indices of each part: names, then the numeric columns that fit in the console's width."""
    names = 0
    while not table.columns[names].numeric:
        names += 1
    parts = [list(range(names))]
    for index in range(names, len(widths)):
        taken = sum(widths[other] + 1 for other in parts[-1])
        if taken + widths[index] > console_width and len(parts[-1]) > names:
            parts.append(list(range(names)))
        parts[-1].append(index)
    return parts


def _heading(table: Table, columns: Sequence[int], widths: Sequence[int], room: Sequence[int]) -> rich_table.Table:
    shown = _empty(table, columns, widths)
    lines = [[table.columns[index].name for index in columns], [table.columns[index].below for index in columns]]
    for line in lines:
        if any(line):
            cells = (f"{one_line(name)}{' ' * room[index]}" for name, index in zip(line, columns, strict=True))
            shown.add_row(*(Text(cell) for cell in cells), style="bold")
    return shown


def _empty(table: Table, columns: Sequence[int], widths: Sequence[int]) -> rich_table.Table:
    shown = rich_table.Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    for index in columns:
        shown.add_column(justify=_justify(table.columns[index].numeric), width=widths[index], overflow="fold")
    return shown


def _justify(numeric: bool) -> Literal["left", "right"]:
    return "right" if numeric else "left"


def _width(table: Table, index: int, room: int) -> int:
    column = table.columns[index]
    texts = [_plain(row[index]) for row in table.rows]
    widest = max(cell_len(text) for text in (one_line(column.name), column.below, *texts))
    return (widest if column.numeric else min(widest, WIDEST_NAME)) + room


def _plain(cell: Cell) -> str:
    return one_line(cell.text) + (f" ± {one_line(cell.error)}" if cell.error else "")


def _marks(cell: Cell, styled: bool) -> str:
    highlight = PLAIN[cell.highlight] if cell.highlight and not styled else ""
    return highlight + cell.marks.translate(RAISED)


def _marks_room(table: Table, index: int, styled: bool) -> int:
    """Width of a column's longest marks, so that numbers with and without marks are aligned."""
    return max((len(_marks(row[index], styled)) for row in table.rows), default=0)


def _text(cell: Cell, room: int, styled: bool) -> Text:
    shown = Text(one_line(cell.text), style=STYLES[cell.highlight] if cell.highlight else "")
    if cell.error:
        shown.append(f" ± {one_line(cell.error)}", style="not bold not underline")
    return shown.append(_marks(cell, styled).ljust(room), style="not bold not underline")
