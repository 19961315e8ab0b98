"""Display of a study: a live table of its jobs, or a line per change; at its end the table of results."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from icpo_cli.ablate.result import HELDOUT, JobRecord, StudyResult
from icpo_cli.ablate.table import notes, result_table
from icpo_cli.cli.display import display_for
from icpo_cli.runs.run_dir import Status
from icpo_cli.tables.terminal import stdout_console, to_rich
from icpo_cli.text import printable

COLUMNS = ("arm", "seed", "state", "iteration", "held-out", "reward", "entropy", "omega", "s/iteration", "eta")
STYLES = {Status.RUNNING: "bold", Status.DONE: "green", Status.FAILED: "red", Status.STOPPED: "yellow"}
FRAME_LINES = 6
"""Lines of the terminal that are not rows of the table."""


class StudyProgress:
    """View of a running study: a line when a job's status changes or it is evaluated, or a live table of all jobs."""

    def __init__(self, stream: TextIO, study: str) -> None:
        self._study = study
        self._terminal = Console(file=stream, force_terminal=True)
        self._records: Sequence[JobRecord] = ()
        self._last: dict[tuple[str, int], tuple[Status, int | None]] = {}
        self.display = display_for(stream, self._panel)

    def __enter__(self) -> Self:
        self.display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.display.__exit__(*error)

    def show(self, records: Sequence[JobRecord]) -> None:
        self._records = records
        for record in records:
            key, status = (record.job.arm, record.job.seed), record.status
            current = (status, _evaluated(record)[0])
            last = self._last.get(key, (Status.WAITING, None))
            if current != last:
                self._last[key] = current
                newly_failed = status is Status.FAILED and last[0] is not Status.FAILED
                (self.display.note if newly_failed else self.display.line)(line_of(record))

    def note(self, text: str) -> None:
        self.display.note(text)

    def _panel(self) -> Table:
        return table_of(self._records, self._study, self._terminal.height - FRAME_LINES)


def table_of(records: Sequence[JobRecord], study: str, most_rows: int) -> Table:
    """At most `most_rows` jobs: running and failed ones are shown before waiting ones, and these before those done."""
    table = Table(box=None, pad_edge=False, title=Text(f"icpo ablate · {printable(study)}"), title_justify="left")
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if index in (0, 2) else "right", no_wrap=True)
    for record in _shown(records, max(most_rows, 1)):
        table.add_row(*(Text(printable(cell)) for cell in cells(record)), style=STYLES.get(record.status))
    table.caption = Text(counts(records))
    table.caption_justify = "left"
    return table


def cells(record: JobRecord) -> tuple[str, ...]:
    """The row of a job, in the order of COLUMNS."""
    return (
        record.job.arm,
        str(record.job.seed),
        record.status.value,
        f"{record.iterations}/{record.job.config.train.iterations}",
        _number(_evaluated(record)[1], ".1f", " %"),
        _number(record.newest("reward/verif"), ".3f"),
        _number(record.newest("entropy"), ".3f"),
        _number(record.newest("omega"), ".2f"),
        _number(record.seconds, ".1f"),
        _eta(record),
    )


def _evaluated(record: JobRecord) -> tuple[int, float] | tuple[None, None]:
    """The newest held-out evaluation: its iteration, and accuracy in percent."""
    return record.accuracy(HELDOUT)[-1] if record.accuracy(HELDOUT) else (None, None)


def line_of(record: JobRecord) -> str:
    """A job in one line, without the values that are not known yet."""
    arm, seed, status, iteration, accuracy, *numbers = cells(record)
    named = zip(COLUMNS[5:], numbers, strict=True)
    known = [f"{name} {value}" for name, value in named if value != "-"]
    if accuracy != "-":
        known.insert(0, f"held-out {accuracy} after {_evaluated(record)[0]}")
    reason = [record.reason] if record.reason else []
    return "  ".join([f"{arm} seed {seed}: {status}", iteration, *known, *reason])


def counts(records: Sequence[JobRecord]) -> str:
    """Number of jobs by status."""
    statuses = [record.status for record in records]
    return (
        ", ".join(f"{statuses.count(each)} {each}" for each in Status if each in statuses) + f" of {len(records)} jobs"
    )


def _shown(records: Sequence[JobRecord], most: int) -> list[JobRecord]:
    order = [Status.RUNNING, Status.FAILED, Status.STOPPED, Status.WAITING, Status.DONE]
    first = sorted(range(len(records)), key=lambda index: order.index(records[index].status))[:most]
    return [records[index] for index in sorted(first)]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _eta(record: JobRecord) -> str:
    left = record.seconds_left
    running = record.status is Status.RUNNING
    return str(timedelta(seconds=round(left))) if running and left is not None else "-"


def print_result(result: StudyResult) -> None:
    """Print the results of a study on stdout: the table of its arms, notes, run and folder."""
    console = stdout_console()
    console.print(to_rich(result_table(result), collapse_padding=True))
    for note in notes(result):
        console.print(Text(f"\n{printable(note)}"), soft_wrap=True)
    console.print(Text(f"\nrun     {result.run_id}\nfolder  {result.study.folder}"), soft_wrap=True)
