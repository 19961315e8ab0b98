"""A report on a terminal, or as plain text."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from icpo_cli.report.formats.plain import one_line
from icpo_cli.report.grid import LETTERS, Document, Grid, GridCell, Rank

RAISED = str.maketrans(LETTERS, "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", ",")
STYLES = {Rank.BEST: "bold", Rank.SECOND: "underline"}


def show(document: Document, console: Console) -> None:
    console.print(Text(one_line(document.title), style="bold"), soft_wrap=True)
    for grid in document.grids:
        if len(document.grids) > 1:
            console.print(Text(f"\n{one_line(grid.title)}", style="bold"), soft_wrap=True)
        console.print(_table(grid))
        for mark, note in grid.footnotes:
            console.print(Text(f"{mark.translate(RAISED)} {one_line(note)}"), soft_wrap=True)
    for note in document.notes:
        console.print(Text(f"\n{one_line(note)}"), soft_wrap=True)


def _table(grid: Grid) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True, header_style="bold")
    room = [_marks_room(grid, place) for place in range(len(grid.headers))]
    for header, width in zip(grid.headers, room, strict=True):
        names = "\n".join(f"{one_line(part)}{' ' * width}" for part in (header.name, header.below) if part)
        table.add_column(Text(names), justify="right" if header.numeric else "left", overflow="fold")
    for group in grid.groups:
        if group.title:
            # The heading may be longer than the first column is to become: it wraps at words, not letters.
            table.add_row(Text(one_line(group.title), style="italic"))
        for row in group.rows:
            table.add_row(*(_cell(cell, width) for cell, width in zip(row, room, strict=True)))
    return table


def _marks_room(grid: Grid, place: int) -> int:
    """Letters of the longest marks of a column: numbers stand under one another whether they have any or not."""
    marks = [row[place].marks.translate(RAISED) for group in grid.groups for row in group.rows]
    return max(map(len, marks), default=0)


def _cell(cell: GridCell, room: int) -> Text:
    shown = Text(one_line(cell.text), style=STYLES[cell.rank] if cell.rank else "")
    if cell.error:
        shown.append(f" ± {one_line(cell.error)}", style="not bold not underline")
    return shown.append(cell.marks.translate(RAISED).ljust(room), style="not bold not underline")
