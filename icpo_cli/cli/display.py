"""Progress of a running command, which train, eval and ablate share: plain lines, or a live view on a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from icpo_cli.text import printable

BARS = "▁▂▃▄▅▆▇█"


class Display:
    """Shows nothing: for the ranks other than the first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def line(self, text: str) -> None:
        """Print a line of progress; a live view skips it, because its panel shows the same."""

    def note(self, text: str) -> None:
        """Print a message that the user should read."""


class PlainLines(Display):
    """One line for each event: for pipes and log files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        self.line(text)


class LiveView(Display):
    """A panel on a terminal, redrawn a few times per second; notes scroll above it."""

    def __init__(self, stream: TextIO, panel: Callable[[], RenderableType]) -> None:
        console = Console(file=stream, force_terminal=True)
        self._live = Live(console=console, get_renderable=panel, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._live.console.print(Text(printable(text)), soft_wrap=True)


def display_for(stream: TextIO, panel: Callable[[], RenderableType]) -> Display:
    """A live view of `panel` on a terminal, plain lines elsewhere."""
    return LiveView(stream, panel) if stream.isatty() else PlainLines(stream)


def log_phase(text: str) -> None:
    """Write a time-stamped line to standard error, which `Streams` redirects to the log of the run."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def log_note(text: str) -> None:
    """Write a message to standard error, which `Streams` redirects to the log of the run."""
    print(printable(text), file=sys.stderr, flush=True)


def sparkline(values: list[float], width: int) -> str:
    """The last `width` values as bars, scaled between their minimum and maximum."""
    shown = values[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)
