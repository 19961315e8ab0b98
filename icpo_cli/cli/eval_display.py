"""Progress of an evaluation: plain lines, or a panel on a terminal; and the tables printed at its end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TextIO

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from icpo_cli.cli.display import display_for, log_note, log_phase
from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.record import EvalOutcome
from icpo_cli.evaluate.table import partial_text, rows_of
from icpo_cli.records import Verdict
from icpo_cli.statistics import PairedDifference
from icpo_cli.tables.document import text_table
from icpo_cli.tables.terminal import stdout_console, to_rich
from icpo_cli.text import number, printable, some

NARROW = ("benchmark", "questions", "Avg@k", "95 % interval", "no answer", "cut off", "tokens", "")
COMPARED = ("benchmark", "questions", "difference", "95 % interval", "p", "detectable")
LINE_SECONDS = 30.0
"""Time between two lines of plain progress."""
FIRST_SHARE = 0.1
"""Share of the responses that must have finished before the remaining time is estimated."""


@dataclass
class TaskProgress:
    """Progress of one task."""

    title: str
    responses: int
    stored: int
    """Responses that existed at the start."""
    done: int
    graded: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> str:
        """Share of correct responses among the graded ones; the final mean over questions may differ slightly."""
        return f"{100 * self.correct / self.graded:.1f} % correct" if self.graded else "none graded yet"


class EvalProgress:
    """Observer of an evaluation: a line now and then, or a panel with a bar and the running accuracy per benchmark."""

    def __init__(self, stream: TextIO, model: str) -> None:
        self._model = model
        self._tasks: dict[str, TaskProgress] = {}
        self._phase = "starting"
        self._tokens = 0
        self._generation_start: float | None = None
        self._last_line = time.monotonic()
        self.display = display_for(stream, self._panel)

    def start(self, tasks: Sequence[tuple[Task, int]]) -> None:
        self._tasks = {task.name: TaskProgress(task.title, len(task.keys), stored, stored) for task, stored in tasks}
        for each in self._tasks.values():
            stored = f", {each.stored:,} of them stored" if each.stored else ""
            self.display.line(f"{each.title}: {each.responses:,} responses{stored}")

    def finished(self, task: str, tokens: Sequence[int]) -> None:
        self._tasks[task].done += len(tokens)
        self._tokens += sum(tokens)

    def graded(self, task: str, verdicts: Sequence[Verdict]) -> None:
        self._tasks[task].graded += len(verdicts)
        self._tasks[task].correct += sum(verdict.correct for verdict in verdicts)

    def tick(self) -> None:
        if time.monotonic() - self._last_line > LINE_SECONDS:
            self._show_counts()

    def phase(self, name: str) -> None:
        if self._phase == "generating":
            self._show_counts()
        log_phase(name)
        self._phase = name
        if name == "generating":
            self._generation_start = time.monotonic()
        self.display.line(name)

    def note(self, text: str) -> None:
        log_note(text)
        self.display.note(text)

    def _show_counts(self) -> None:
        self._last_line = time.monotonic()
        counts = "  ".join(
            f"{each.title} {each.done:,}/{each.responses:,} ({each.accuracy})" for each in self._tasks.values()
        )
        self.display.line(f"{counts}  {self._speed()}")

    def _speed(self) -> str:
        """Tokens per second of the finished responses, and the time left.

        Empty at first: the responses that finish early are short and say little about the others.
        """
        done = sum(each.done - each.stored for each in self._tasks.values())
        left = sum(each.responses - each.done for each in self._tasks.values())
        if self._generation_start is None or done < FIRST_SHARE * (done + left):
            return ""
        seconds = time.monotonic() - self._generation_start
        eta = timedelta(seconds=round(seconds / done * left))
        return f"{self._tokens / seconds:,.0f} tokens/s  eta {eta}"

    def _panel(self) -> RenderableType:
        bars = Table.grid(padding=(0, 2))
        for each in self._tasks.values():
            total = max(each.responses, 1)
            bar = ProgressBar(total=total, completed=each.done, width=30)
            bars.add_row(Text(each.title), bar, Text(f"{each.done:,}/{total:,}"), Text(each.accuracy))
        status = Text(f"{self._phase}  {self._speed()}")
        return Panel(Group(status, bars), title=Text(f"icpo eval · {printable(self._model)}"), title_align="left")


def print_outcome(outcome: EvalOutcome) -> None:
    """Print the table, what is missing, and the comparison."""
    console = stdout_console(120)
    console.print(_table(NARROW, [_narrow(row) for row in rows_of(outcome.results)]))
    for result in outcome.results:
        if result.partial:
            console.print(Text(f"{result.title} is {partial_text(result)}"))
    if outcome.comparisons:
        console.print(Text(f"\nthis evaluation minus {printable(str(outcome.against))}, on the same questions"))
        titles = {result.bench: result.title for result in outcome.results}
        compared = [_comparison_row(titles[bench], paired) for bench, paired in outcome.comparisons.items()]
        console.print(_table(COMPARED, compared))
    for result in outcome.results:
        if result.missing_ids and result.missing.responses:
            console.print(Text(f"{result.title}: no responses to {some(result.missing_ids)}"))
    for bench, ids in outcome.unknown.items():
        if ids:
            console.print(Text(printable(f"{bench}: responses to {len(ids):,} unknown ids: {some(ids)}")))
    for how_to_get in outcome.missing.values():
        console.print(Text(printable(f"missing: {how_to_get}")), soft_wrap=True)
    for name, value in {"run": outcome.run_id, "folder": outcome.folder, "exported": outcome.exported}.items():
        if value:
            console.print(Text(f"{name:<9} {printable(str(value))}"), soft_wrap=True)


def _narrow(row: Sequence[str]) -> tuple[str, ...]:
    """A row for a terminal: accuracy and its error in one column, without maj@k."""
    title, questions, accuracy, stderr, interval, _, no_answer, cut_off, tokens, partial = row
    both = f"{accuracy} ± {stderr}" if stderr else accuracy
    return title, questions, both, interval, no_answer, cut_off, tokens, "partial" if partial else ""


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    used = [column for column in range(len(headers)) if headers[column] or any(row[column] for row in rows)]
    shown = [headers[column] for column in used]
    numeric = set(shown[1:]) - {""}
    return to_rich(
        text_table(shown, [[row[column] for column in used] for row in rows], numeric), collapse_padding=True
    )


def _comparison_row(title: str, paired: PairedDifference) -> tuple[str, ...]:
    low, high = paired.interval
    return (
        title,
        f"{paired.n:,}",
        number(paired.difference, "+.1f"),
        f"{number(low, '+.1f')} to {number(high, '+.1f')}",
        number(paired.p_value, ".3f"),
        number(paired.minimum_detectable_effect),
    )
