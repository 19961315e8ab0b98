"""What a user sees of an evaluation: live progress on a terminal, plain lines elsewhere, a table at the end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TextIO

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from icpo_cli.cli.display import display_for, log_note, log_phase
from icpo_cli.evaluate.compare import Comparison
from icpo_cli.evaluate.observer import Start
from icpo_cli.evaluate.record import Outcome
from icpo_cli.evaluate.table import partial_text, rows_of
from icpo_cli.records import Verdict
from icpo_cli.tables.table import text_table
from icpo_cli.tables.terminal import stdout_console, to_rich
from icpo_cli.text import printable

NARROW = ("benchmark", "questions", "Avg@k", "95 % interval", "no answer", "cut off", "tokens", "")
COMPARED = ("benchmark", "questions", "difference", "95 % interval", "p", "could show")
LINE_SECONDS = 30.0
"""Between two lines of plain progress."""
FIRST_SHARE = 0.1
"""Of the responses, before which no time left is named."""


@dataclass
class Tally:
    """One benchmark's progress."""

    start: Start
    done: int = 0
    graded: int = 0
    correct: int = 0

    @property
    def accuracy(self) -> str:
        """Of the responses graded so far; questions weigh by their responses, so the end may differ a little."""
        return f"{100 * self.correct / self.graded:.1f} % right" if self.graded else "none graded yet"


@dataclass
class Progress:
    """What has been done of everything, and how fast."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    phase: str = "starting"
    tokens: int = 0
    began: float | None = None
    """When the first response of this process came to be waited for."""

    def start(self, benchmarks: Mapping[str, Start]) -> None:
        self.tallies = {name: Tally(start, done=start.stored) for name, start in benchmarks.items()}

    def finished(self, bench: str, tokens: Sequence[int]) -> None:
        self.tallies[bench].done += len(tokens)
        self.tokens += sum(tokens)

    def graded(self, bench: str, verdicts: Sequence[Verdict]) -> None:
        self.tallies[bench].graded += len(verdicts)
        self.tallies[bench].correct += sum(verdict.correct for verdict in verdicts)

    def enter(self, phase: str) -> None:
        self.phase = phase
        if phase == "generating":
            self.began = time.monotonic()

    def speed(self) -> str:
        """Tokens a second of what has finished, and time left by responses.

        Empty at first: what finishes early is short and says little of the rest.
        """
        done = sum(tally.done - tally.start.stored for tally in self.tallies.values())
        left = sum(tally.start.responses - tally.done for tally in self.tallies.values())
        if self.began is None or done < FIRST_SHARE * (done + left):
            return ""
        seconds = time.monotonic() - self.began
        eta = timedelta(seconds=round(seconds / done * left))
        return f"{self.tokens / seconds:,.0f} tokens/s  eta {eta}"


class EvalProgress:
    """Observer of an evaluation: a line now and then, or a panel with a bar and the running accuracy per benchmark."""

    def __init__(self, stream: TextIO, model: str) -> None:
        self._model = model
        self._progress = Progress()
        self._last_line = time.monotonic()
        self.display = display_for(stream, self._panel)

    def start(self, benchmarks: Mapping[str, Start]) -> None:
        self._progress.start(benchmarks)
        for start in benchmarks.values():
            stored = f", {start.stored:,} of them stored" if start.stored else ""
            self.display.line(f"{start.title}: {start.responses:,} responses{stored}")

    def finished(self, bench: str, tokens: Sequence[int]) -> None:
        self._progress.finished(bench, tokens)

    def graded(self, bench: str, verdicts: Sequence[Verdict]) -> None:
        self._progress.graded(bench, verdicts)

    def tick(self) -> None:
        if time.monotonic() - self._last_line > LINE_SECONDS:
            self._show_counts()

    def phase(self, name: str) -> None:
        if self._progress.phase == "generating":
            self._show_counts()
        log_phase(name)
        self._progress.enter(name)
        self.display.line(name)

    def note(self, text: str) -> None:
        log_note(text)
        self.display.note(text)

    def _show_counts(self) -> None:
        self._last_line = time.monotonic()
        counts = "  ".join(
            f"{tally.start.title} {tally.done:,}/{tally.start.responses:,} ({tally.accuracy})"
            for tally in self._progress.tallies.values()
        )
        self.display.line(f"{counts}  {self._progress.speed()}")

    def _panel(self) -> RenderableType:
        bars = Table.grid(padding=(0, 2))
        for tally in self._progress.tallies.values():
            whole = max(tally.start.responses, 1)
            bar = ProgressBar(total=whole, completed=tally.done, width=30)
            bars.add_row(Text(tally.start.title), bar, Text(f"{tally.done:,}/{whole:,}"), Text(tally.accuracy))
        status = Text(f"{self._progress.phase}  {self._progress.speed()}")
        return Panel(Group(status, bars), title=Text(f"icpo eval · {printable(self._model)}"), title_align="left")


def print_outcome(outcome: Outcome) -> None:
    """The table, what is missing and what was compared, on stdout."""
    console = stdout_console(120)
    console.print(_table(NARROW, [_narrow(row) for row in rows_of(outcome.results)]))
    for result in outcome.results:
        if result.partial:
            console.print(Text(f"{result.title} is {partial_text(result)}"))
    if outcome.comparisons:
        console.print(Text(f"\nthis evaluation less {printable(str(outcome.against))}, on the same questions"))
        console.print(_table(COMPARED, [_comparison_row(comparison) for comparison in outcome.comparisons]))
    for result in outcome.results:
        if result.missing_ids and result.missing.responses:
            console.print(Text(f"{result.title}: no responses to {_some(result.missing_ids)}"))
    for bench, ids in outcome.unknown.items():
        if ids:
            console.print(Text(printable(f"{bench}: responses to {len(ids):,} unknown ids: {_some(ids)}")))
    for why in outcome.missing.values():
        console.print(Text(printable(f"missing: {why}")), soft_wrap=True)
    for name, value in {"run": outcome.run_id, "folder": outcome.folder, "exported": outcome.exported}.items():
        if value:
            console.print(Text(f"{name:<9} {printable(str(value))}"), soft_wrap=True)


def _narrow(row: Sequence[str]) -> tuple[str, ...]:
    """A row for a terminal: accuracy and its error in one column, the majority's left to the files."""
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


def _comparison_row(comparison: Comparison) -> tuple[str, ...]:
    low, high = comparison.ci95
    return (
        comparison.title,
        f"{comparison.n:,}",
        _signed(comparison.difference),
        f"{_signed(low)} to {_signed(high)}",
        "-" if comparison.p_value is None else f"{comparison.p_value:.3f}",
        "-" if comparison.smallest_detectable is None else f"{comparison.smallest_detectable:.1f}",
    )


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f", ... ({len(ids):,} in all)" if len(ids) > 5 else "")
