"""SIGTERM and Ctrl-C: finish the iteration, save, leave. A second one ends the process at once."""

import signal
from types import FrameType, TracebackType

from icpo_cli.learner.ranks import Ranks

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self.signal = 0

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self, ranks: Ranks) -> bool:
        """Whether any rank was asked; the same answer on all."""
        self.signal = int(ranks.most(self.signal))
        return self.signal != 0

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
