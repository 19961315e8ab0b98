"""SIGTERM and Ctrl-C: the work in hand is brought to a place from which it can go on. A second one ends it at once."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

Handler = Callable[[int, FrameType | None], None] | signal.Handlers
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """By which signal, if any, this process was asked to stop."""

    def __init__(self, heard: Callable[[], None] | None = None) -> None:
        """`heard` is called within the signal's handler: it must not use buffered output."""
        self.signal = 0
        self._tell = heard

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self._tell is not None:
            self._tell()
        for each in SIGNALS:
            signal.signal(each, self._second)

    @property
    def _second(self) -> Handler:
        """What hears a second signal."""
        return signal.SIG_DFL
