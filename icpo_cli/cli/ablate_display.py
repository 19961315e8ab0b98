"""What a user sees of a study while it runs: a live table of all jobs on a terminal, a line a change elsewhere."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from icpo_cli.ablate.launch.launcher import State
from icpo_cli.ablate.progress import JobView
from icpo_cli.cli.display import printable

COLUMNS = ("arm", "seed", "state", "iteration", "held-out", "reward", "entropy", "omega", "s/iteration", "eta")
STYLES = {State.RUNNING: "bold", State.DONE: "green", State.FAILED: "red", State.STOPPED: "yellow"}
FRAME_LINES = 6
"""Of the terminal, beside the table's rows."""


class PlainLines:
    """One line when a job's state changes, and one an evaluation."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[tuple[str, int], tuple[State, int | None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def show(self, views: Sequence[JobView]) -> None:
        for view in views:
            key, state = (view.job.arm, view.job.seed), view.standing.state
            news = (state, view.progress.evaluated)
            before = self._said.get(key, (State.WAITING, None))
            if news != before:
                self._said[key] = news
                self.note(line_of(view))

    def note(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class LiveTable:
    """All jobs in one table, drawn anew."""

    def __init__(self, stream: TextIO, study: str) -> None:
        self._study = study
        self._console = Console(file=stream, force_terminal=True)
        self._live = Live(console=self._console, refresh_per_second=2)
        self._failed: set[tuple[str, int]] = set()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, views: Sequence[JobView]) -> None:
        for view in views:
            key = (view.job.arm, view.job.seed)
            if view.standing.state is State.FAILED and key not in self._failed:
                self._failed.add(key)
                self.note(line_of(view))
        self._live.update(table_of(views, self._study, self._console.height - FRAME_LINES))

    def note(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)


def view_for(stream: TextIO, study: str) -> PlainLines | LiveTable:
    return LiveTable(stream, study) if stream.isatty() else PlainLines(stream)


def stderr_view(study: str) -> PlainLines | LiveTable:
    return view_for(sys.stderr, study)


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
    return ", ".join(f"{states.count(state)} {state}" for state in State if state in states) + f" of {len(views)} jobs"


def _shown(views: Sequence[JobView], most: int) -> list[JobView]:
    order = [State.RUNNING, State.FAILED, State.STOPPED, State.WAITING, State.DONE]
    first = sorted(range(len(views)), key=lambda place: order.index(views[place].standing.state))[:most]
    return [views[place] for place in sorted(first)]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _eta(view: JobView) -> str:
    left = view.seconds_left
    running = view.standing.state is State.RUNNING
    return str(timedelta(seconds=round(left))) if running and left is not None else "-"
