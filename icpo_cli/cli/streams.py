"""Where output goes while a run works: engines chatter into the run's log, the terminal stays ours."""

import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, TextIO


class Streams:
    """Within it, file descriptors 1 and 2 lead to a log; `out` and `err` lead to the terminal.

    Redirected below Python, because DeepSpeed, vLLM and their libraries write there too. What is written
    before `log_to` names the file is kept and moves into it.
    """

    def __enter__(self) -> "Streams":
        self.out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        self.err: TextIO = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._early: IO[bytes] = tempfile.TemporaryFile()
        self.path: Path | None = None
        self._lead_to(self._early.fileno())
        return self

    def log_to(self, path: Path) -> None:
        """Append everything, from the beginning, to `path`."""
        _flush()
        self._early.seek(0)
        with path.open("ab") as log:
            log.write(self._early.read())
            log.flush()
            self._lead_to(log.fileno())
        self.path = path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        self.out.flush()
        self.err.flush()
        os.dup2(self.out.fileno(), 1)
        os.dup2(self.err.fileno(), 2)
        self._early.close()

    @staticmethod
    def _lead_to(descriptor: int) -> None:
        _flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
