"""What a user sees of a study at its end: its arms in one table, and what the data can tell apart."""

from rich.text import Text

from icpo_cli.ablate.outcome import Outcome
from icpo_cli.ablate.table import notes, outcome_table
from icpo_cli.tables.terminal import stdout_console, to_rich
from icpo_cli.text import printable


def print_outcome(outcome: Outcome) -> None:
    """On stdout."""
    console = stdout_console()
    console.print(to_rich(outcome_table(outcome), collapse_padding=True))
    for note in notes(outcome):
        console.print(Text(f"\n{printable(note)}"), soft_wrap=True)
    console.print(Text(f"\nrun     {outcome.run_id}\nfolder  {outcome.folder}"), soft_wrap=True)
