"""What a user sees of a run: a live view on a terminal, plain lines elsewhere, phases in the log."""

import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from icpo_cli.records import Evaluation

WHOLE_LINES = 500
"""Wide enough for paths and keys to stay whole where they are piped."""
CURVES = {"reward/verif": "reward", "accuracy": "accuracy", "entropy": "entropy", "omega": "omega"}
PHASES = ("rollout", "reward", "logprobs", "update", "sync")
BARS = "▁▂▃▄▅▆▇█"
STOPPING = (
    b"stopping: this iteration is finished and saved; a second signal ends the run at once, this iteration lost\n"
)
"""Written as bytes, past every buffer: a signal may come while one is in use."""


class LogLines:
    """Phases and notes as lines of the run's log, which standard error leads to."""

    def phase(self, iteration: int, name: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} iteration {iteration}: {name}", file=sys.stderr, flush=True)

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None: ...

    def evaluation(self, iteration: int, evaluation: Evaluation) -> None: ...

    def stopping(self) -> None: ...

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class PlainLines(LogLines):
    """One line an iteration and an evaluation."""

    def __init__(self, stream: TextIO, iterations: int) -> None:
        self._stream = stream
        self._pace = Pace(iterations)

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        seconds = " ".join(f"{name} {metrics[f'seconds/{name}']:.1f}" for name in PHASES)
        accuracy = f"accuracy {metrics['accuracy']:.1%}  " if "accuracy" in metrics else ""
        entropy = f"entropy {metrics['entropy']:.3f}  " if "entropy" in metrics else ""
        self._say(
            f"iteration {iteration}/{self._pace.iterations}  reward {metrics['reward/verif']:.3f}  "
            f"{accuracy}{entropy}omega {metrics['omega']:.2f}  "
            f"seconds {metrics['seconds/iteration']:.1f} ({seconds})  eta {self._pace.eta(iteration, metrics)}"
        )

    def evaluation(self, iteration: int, evaluation: Evaluation) -> None:
        self._say(f"after {iteration} iterations: {accuracy_text(evaluation)}")

    def stopping(self) -> None:
        os.write(self._stream.fileno(), STOPPING)

    def note(self, text: str) -> None:
        super().note(text)
        self._say(text)

    def _say(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class LiveView(LogLines):
    """A panel that is drawn anew: curves, phase times, held-out accuracy, time left."""

    def __init__(self, stream: TextIO, name: str, iterations: int) -> None:
        self._name = name
        self._pace = Pace(iterations)
        self._history: dict[str, list[float]] = {key: [] for key in CURVES}
        self._evaluations: list[str] = []
        self._metrics: Mapping[str, float] = {}
        self._at = (0, "starting")
        self._stream = stream
        self._live = Live(console=Console(file=stream, force_terminal=True), refresh_per_second=4)

    def __enter__(self) -> "LiveView":
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def phase(self, iteration: int, name: str) -> None:
        super().phase(iteration, name)
        self._at = (iteration, name)
        self._draw()

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics
        for key in self._history.keys() & metrics.keys():
            self._history[key].append(metrics[key])
        self._pace.eta(iteration, metrics)
        self._draw()

    def evaluation(self, iteration: int, evaluation: Evaluation) -> None:
        self._evaluations.append(f"after {iteration}: {accuracy_text(evaluation)}")
        self._draw()

    def stopping(self) -> None:
        os.write(self._stream.fileno(), STOPPING)

    def note(self, text: str) -> None:
        super().note(text)
        self._live.console.print(Text(printable(text)))

    def _draw(self) -> None:
        self._live.update(self._panel())

    def _panel(self) -> RenderableType:
        curves = Table.grid(padding=(0, 2))
        for key, label in CURVES.items():
            values = self._history[key]
            curves.add_row(label, f"{values[-1]:.3f}" if values else "-", sparkline(values, 50))
        seconds = "  ".join(f"{name} {self._metrics.get(f'seconds/{name}', 0):.1f}" for name in PHASES)
        iteration, phase = self._at
        lines: list[RenderableType] = [
            Text(f"iteration {iteration}/{self._pace.iterations}  {phase}   eta {self._pace.last}"),
            curves,
            Text(f"seconds  {seconds}"),
            *[Text(line) for line in self._evaluations[-4:]],
        ]
        return Panel(Group(*lines), title=Text(f"icpo train · {printable(self._name)}"), title_align="left")


class Pace:
    """Time left, from the mean of the iterations so far."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.last = "-"
        self._seconds: list[float] = []

    def eta(self, iteration: int, metrics: Mapping[str, float]) -> str:
        self._seconds.append(metrics["seconds/iteration"])
        left = (self.iterations - iteration) * sum(self._seconds) / len(self._seconds)
        self.last = str(timedelta(seconds=round(left)))
        return self.last


def accuracy_text(evaluation: Evaluation) -> str:
    return (
        f"held-out accuracy {evaluation.avg_at_k:.1f} % ± {evaluation.stderr:.1f} "
        f"({evaluation.n} questions, avg@{evaluation.k})"
    )


def sparkline(values: list[float], width: int) -> str:
    """The newest `width` values as bars between their least and greatest."""
    shown = values[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)


def stdout_console(piped_width: int = 160) -> Console:
    """As wide as the terminal; elsewhere as wide as `piped_width`."""
    return Console(width=None if sys.stdout.isatty() else piped_width, highlight=False)


def printable(text: str) -> str:
    """Without control codes: names and messages may come from anywhere."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
