"""What a user sees of a study at its end: its arms in one table, and what the data can tell apart."""

from rich.table import Table
from rich.text import Text

from icpo_cli.ablate.outcome import Outcome
from icpo_cli.ablate.table import notes, outcome_table
from icpo_cli.cli.display import printable, stdout_console


def print_outcome(outcome: Outcome) -> None:
    """On stdout."""
    console = stdout_console()
    found = outcome_table(outcome)
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for place, header in enumerate(found.headers):
        table.add_column(Text(header), justify="left" if place == 0 or not header else "right", overflow="fold")
    for row in found.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    for note in notes(outcome):
        console.print(Text(f"\n{printable(note)}"), soft_wrap=True)
    console.print(Text(f"\nrun     {outcome.run_id}\nfolder  {outcome.folder}"), soft_wrap=True)
