"""What a user sees of a study while it runs: a live table of all jobs on a terminal, a line a change elsewhere."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from icpo_cli.ablate.progress import JobView
from icpo_cli.cli.display import display_for
from icpo_cli.runs.run_dir import Status
from icpo_cli.text import printable

COLUMNS = ("arm", "seed", "state", "iteration", "held-out", "reward", "entropy", "omega", "s/iteration", "eta")
STYLES = {Status.RUNNING: "bold", Status.DONE: "green", Status.FAILED: "red", Status.STOPPED: "yellow"}
FRAME_LINES = 6
"""Of the terminal, beside the table's rows."""


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
            key, state = (view.job.arm, view.job.seed), view.standing.state
            current = (state, view.progress.evaluated)
            last = self._last.get(key, (Status.WAITING, None))
            if current != last:
                self._last[key] = current
                newly_failed = state is Status.FAILED and last[0] is not Status.FAILED
                (self.display.note if newly_failed else self.display.line)(line_of(view))

    def note(self, text: str) -> None:
        self.display.note(text)

    def _panel(self) -> Table:
        return table_of(self._views, self._study, self._terminal.height - FRAME_LINES)


def table_of(views: Sequence[JobView], study: str, most_rows: int) -> Table:
    """Where not all have room, those that run or failed come before those that wait, and these before the done."""
    table = Table(box=None, pad_edge=False, title=Text(f"icpo ablate · {printable(study)}"), title_justify="left")
    for place, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if place in (0, 2) else "right", no_wrap=True)
    for view in _shown(views, max(most_rows, 1)):
        table.add_row(*(Text(printable(cell)) for cell in cells(view)), style=STYLES.get(view.standing.state))
    table.caption = Text(counts(views))
    table.caption_justify = "left"
    return table


def cells(view: JobView) -> tuple[str, ...]:
    """A job's row, in the order of COLUMNS."""
    progress = view.progress
    return (
        view.job.arm,
        str(view.job.seed),
        view.standing.state.value,
        f"{progress.iteration}/{view.iterations}",
        _number(progress.accuracy, ".1f", " %"),
        _number(progress.reward, ".3f"),
        _number(progress.entropy, ".3f"),
        _number(progress.omega, ".2f"),
        _number(progress.seconds, ".1f"),
        _eta(view),
    )


def line_of(view: JobView) -> str:
    """A job in a line; a value that is not known yet is left out."""
    arm, seed, state, iteration, accuracy, *numbers = cells(view)
    named = zip(COLUMNS[5:], numbers, strict=True)
    told = [f"{name} {value}" for name, value in named if value != "-"]
    if accuracy != "-":
        told.insert(0, f"held-out {accuracy} after {view.progress.evaluated}")
    why = [view.standing.why] if view.standing.why else []
    return "  ".join([f"{arm} seed {seed}: {state}", iteration, *told, *why])


def counts(views: Sequence[JobView]) -> str:
    """How many jobs are in each state."""
    states = [view.standing.state for view in views]
    return ", ".join(f"{states.count(state)} {state}" for state in Status if state in states) + f" of {len(views)} jobs"


def _shown(views: Sequence[JobView], most: int) -> list[JobView]:
    order = [Status.RUNNING, Status.FAILED, Status.STOPPED, Status.WAITING, Status.DONE]
    first = sorted(range(len(views)), key=lambda place: order.index(views[place].standing.state))[:most]
    return [views[place] for place in sorted(first)]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _eta(view: JobView) -> str:
    left = view.seconds_left
    running = view.standing.state is Status.RUNNING
    return str(timedelta(seconds=round(left))) if running and left is not None else "-"
