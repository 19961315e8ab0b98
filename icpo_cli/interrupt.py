"""SIGTERM and Ctrl-C as a request to stop: the current work reaches a point from which the command can be resumed."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from icpo_cli.errors import EndedAtOnce

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1
"""Option of prctl(2)."""


class StopSignal:
    """Context manager that records the first SIGTERM or SIGINT; `signal` is its number, 0 if none came.

    By default a second signal ends the process. With `keep_records` it raises EndedAtOnce, but only within an
    `interruptible` block: between such blocks records are written, so it waits for the next one; a third signal ends
    the process.
    """

    def __init__(self, on_stop: Callable[[], None] | None = None, keep_records: bool = False) -> None:
        """`on_stop` is called within the signal handler: it must not use buffered output."""
        self.signal = 0
        self._on_stop = on_stop
        self._keep_records = keep_records
        self._second = 0
        self._interruptible = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._handle_first) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def requested(self, maximum: Callable[[float], float]) -> bool:
        """Whether any rank was asked to stop; the same answer on all ranks. `maximum`: reduction over ranks."""
        self.signal = int(maximum(self.signal))
        return self.signal != 0

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Work that a second signal may abandon at any point. Raises EndedAtOnce."""
        if self._second:
            raise EndedAtOnce(self._second)
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _handle_first(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self._on_stop is not None:
            self._on_stop()
        for each in SIGNALS:
            signal.signal(each, self._handle_second if self._keep_records else signal.SIG_DFL)

    def _handle_second(self, number: int, frame: FrameType | None) -> None:
        self._second = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if self._interruptible:
            raise EndedAtOnce(number)


def end_with_parent(parent: int) -> None:
    """Let this process get SIGTERM when the process `parent`, which started it, ends for any reason."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os.kill(os.getpid(), signal.SIGTERM)
