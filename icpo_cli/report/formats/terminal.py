"""A report on a terminal, or as plain text."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from icpo_cli.report.formats.plain import one_line
from icpo_cli.report.grid import LETTERS, Document, Grid, GridCell, Rank

RAISED = str.maketrans(LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", ",")
STYLES = {Rank.BEST: "bold", Rank.SECOND: "underline"}
PLAIN = {Rank.BEST: "¹", Rank.SECOND: "²"}
"""Where there are no styles."""
WIDEST_NAME = 32
"""Letters, past which a name goes on in the next line."""


def show(document: Document, console: Console) -> None:
    """A table that is wider than the console goes on below, its names again before the further columns."""
    console.print(Text(one_line(document.title), style="bold"), soft_wrap=True)
    for grid in document.grids:
        if len(document.grids) > 1:
            console.print(Text(f"\n{one_line(grid.title)}", style="bold"), soft_wrap=True)
        _show_grid(grid, console)
    for note in document.notes:
        console.print(Text(f"\n{one_line(note)}"), soft_wrap=True)


def _show_grid(grid: Grid, console: Console) -> None:
    styled = console.is_terminal
    room = [_marks_room(grid, place, styled) for place in range(len(grid.headers))]
    widths = [_width(grid, place, width) for place, width in enumerate(room)]
    parts = _parts(grid, widths, console.width)
    for columns in parts:
        if columns is not parts[0]:
            console.print()
        console.print(_heading(grid, columns, widths, room))
        for group in grid.groups:
            if group.title:
                console.print(Text(one_line(group.title), style="italic"), soft_wrap=True)
            table = _table(grid, columns, widths)
            for row in group.rows:
                table.add_row(*(_text(row[place], room[place], styled) for place in columns))
            console.print(table)
    if not styled and any(cell.rank for group in grid.groups for row in group.rows for cell in row):
        console.print(Text(f"{PLAIN[Rank.BEST]} best, {PLAIN[Rank.SECOND]} second"))
    for mark, note in grid.footnotes:
        console.print(Text(f"{mark.translate(RAISED)} {one_line(note)}"), soft_wrap=True)


def _parts(grid: Grid, widths: Sequence[int], console_width: int) -> list[list[int]]:
    """Columns by number: those that fit beside the names, then further ones beside the names again."""
    names = 0
    while not grid.headers[names].numeric:
        names += 1
    parts = [list(range(names))]
    for place in range(names, len(widths)):
        taken = sum(widths[other] + 1 for other in parts[-1])
        if taken + widths[place] > console_width and len(parts[-1]) > names:
            parts.append(list(range(names)))
        parts[-1].append(place)
    return parts


def _heading(grid: Grid, columns: Sequence[int], widths: Sequence[int], room: Sequence[int]) -> Table:
    table = _table(grid, columns, widths)
    lines = [[grid.headers[place].name for place in columns], [grid.headers[place].below for place in columns]]
    for line in lines:
        if any(line):
            cells = (f"{one_line(name)}{' ' * room[place]}" for name, place in zip(line, columns, strict=True))
            table.add_row(*(Text(cell) for cell in cells), style="bold")
    return table


def _table(grid: Grid, columns: Sequence[int], widths: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    for place in columns:
        justify = "right" if grid.headers[place].numeric else "left"
        table.add_column(justify=justify, width=widths[place], overflow="fold")  # type: ignore[arg-type]
    return table


def _width(grid: Grid, place: int, room: int) -> int:
    header = grid.headers[place]
    texts = [_plain(row[place]) for group in grid.groups for row in group.rows]
    widest = max(cell_len(text) for text in (one_line(header.name), header.below, *texts))
    return (widest if header.numeric else min(widest, WIDEST_NAME)) + room


def _plain(cell: GridCell) -> str:
    return one_line(cell.text) + (f" ± {one_line(cell.error)}" if cell.error else "")


def _marks(cell: GridCell, styled: bool) -> str:
    rank = PLAIN[cell.rank] if cell.rank and not styled else ""
    return rank + cell.marks.translate(RAISED)


def _marks_room(grid: Grid, place: int, styled: bool) -> int:
    """Letters of the longest marks of a column: numbers stand under one another whether they have any or not."""
    marks = [_marks(row[place], styled) for group in grid.groups for row in group.rows]
    return max(map(len, marks), default=0)


def _text(cell: GridCell, room: int, styled: bool) -> Text:
    shown = Text(one_line(cell.text), style=STYLES[cell.rank] if cell.rank else "")
    if cell.error:
        shown.append(f" ± {one_line(cell.error)}", style="not bold not underline")
    return shown.append(_marks(cell, styled).ljust(room), style="not bold not underline")
