"""SIGTERM and Ctrl-C: finish the iteration, save, leave. A second one leaves at once, and a third ends the process."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from icpo_cli.distributed import Ranks
from icpo_cli.errors import EndedAtOnce
from icpo_cli.evaluate.stop import SIGNALS, Handler, StopSignal


class StopRequest(StopSignal):
    """Whether, and by which signal, any rank of the run was asked to stop."""

    def __init__(self, heard: Callable[[], None] | None = None) -> None:
        super().__init__(heard)
        self._again = 0
        self._breakable = False

    def asked(self, ranks: Ranks) -> bool:
        """The same answer on all ranks."""
        self.signal = int(ranks.most(self.signal))
        return self.signal != 0

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Work that a second signal gives up wherever it is: EndedAtOnce. Elsewhere records are written: it waits."""
        if self._again:
            raise EndedAtOnce(self._again)
        self._breakable = True
        try:
            yield
        finally:
            self._breakable = False

    @property
    def _second(self) -> Handler:
        return self._heard_again

    def _heard_again(self, number: int, frame: FrameType | None) -> None:
        self._again = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if self._breakable:
            raise EndedAtOnce(number)
