"""Display of a study: a live table of its jobs, or a line per change; at its end the table of results."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from icpo_cli.ablate.collect import JobView
from icpo_cli.ablate.result import StudyResult
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
        self._views: Sequence[JobView] = ()
        self._last: dict[tuple[str, int], tuple[Status, int | None]] = {}
        self.display = display_for(stream, self._panel)

    def __enter__(self) -> Self:
        self.display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.display.__exit__(*error)

    def show(self, views: Sequence[JobView]) -> None:
        self._views = views
        for view in views:
            key, status = (view.job.arm, view.job.seed), view.status
            current = (status, view.progress.evaluated)
            last = self._last.get(key, (Status.WAITING, None))
            if current != last:
                self._last[key] = current
                newly_failed = status is Status.FAILED and last[0] is not Status.FAILED
                (self.display.note if newly_failed else self.display.line)(line_of(view))

    def note(self, text: str) -> None:
        self.display.note(text)

    def _panel(self) -> Table:
        return table_of(self._views, self._study, self._terminal.height - FRAME_LINES)


def table_of(views: Sequence[JobView], study: str, most_rows: int) -> Table:
    """At most `most_rows` jobs: running and failed ones are shown before waiting ones, and these before those done."""
    table = Table(box=None, pad_edge=False, title=Text(f"icpo ablate · {printable(study)}"), title_justify="left")
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if index in (0, 2) else "right", no_wrap=True)
    for view in _shown(views, max(most_rows, 1)):
        table.add_row(*(Text(printable(cell)) for cell in cells(view)), style=STYLES.get(view.status))
    table.caption = Text(counts(views))
    table.caption_justify = "left"
    return table


def cells(view: JobView) -> tuple[str, ...]:
    """The row of a job, in the order of COLUMNS."""
    progress = view.progress
    return (
        view.job.arm,
        str(view.job.seed),
        view.status.value,
        f"{progress.iteration}/{view.iterations}",
        _number(progress.accuracy, ".1f", " %"),
        _number(progress.reward, ".3f"),
        _number(progress.entropy, ".3f"),
        _number(progress.omega, ".2f"),
        _number(progress.seconds, ".1f"),
        _eta(view),
    )


def line_of(view: JobView) -> str:
    """A job in one line, without the values that are not known yet."""
    arm, seed, status, iteration, accuracy, *numbers = cells(view)
    named = zip(COLUMNS[5:], numbers, strict=True)
    known = [f"{name} {value}" for name, value in named if value != "-"]
    if accuracy != "-":
        known.insert(0, f"held-out {accuracy} after {view.progress.evaluated}")
    reason = [view.reason] if view.reason else []
    return "  ".join([f"{arm} seed {seed}: {status}", iteration, *known, *reason])


def counts(views: Sequence[JobView]) -> str:
    """Number of jobs by status."""
    statuses = [view.status for view in views]
    return ", ".join(f"{statuses.count(each)} {each}" for each in Status if each in statuses) + f" of {len(views)} jobs"


def _shown(views: Sequence[JobView], most: int) -> list[JobView]:
    order = [Status.RUNNING, Status.FAILED, Status.STOPPED, Status.WAITING, Status.DONE]
    first = sorted(range(len(views)), key=lambda index: order.index(views[index].status))[:most]
    return [views[index] for index in sorted(first)]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _eta(view: JobView) -> str:
    left = view.seconds_left
    running = view.status is Status.RUNNING
    return str(timedelta(seconds=round(left))) if running and left is not None else "-"


def print_result(result: StudyResult) -> None:
    """Print the results of a study on stdout: the table of its arms, notes, run and folder."""
    console = stdout_console()
    console.print(to_rich(result_table(result), collapse_padding=True))
    for note in notes(result):
        console.print(Text(f"\n{printable(note)}"), soft_wrap=True)
    console.print(Text(f"\nrun     {result.run_id}\nfolder  {result.folder}"), soft_wrap=True)
