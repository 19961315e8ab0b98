"""Redirection of output during a run: output of the engines goes to the log of the run, progress to the terminal."""

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TextIO

from icpo_cli.errors import RunFailed, UserError


class Streams:
    """Context in which file descriptors 1 and 2 are redirected to a log; `out` and `err` write to the terminal.

    File descriptors, because DeepSpeed, vLLM and their libraries write to them without Python. Output before the
    call of `log_to` is buffered and then written to the log.
    """

    def __enter__(self) -> "Streams":
        self.out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        self.err: TextIO = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._buffer: IO[bytes] = tempfile.TemporaryFile()
        self.path: Path | None = None
        self._redirect_to(self._buffer.fileno())
        return self

    def log_to(self, path: Path) -> None:
        """Append all output, including what is buffered, to `path`."""
        _flush()
        self._buffer.seek(0)
        with path.open("ab") as log:
            log.write(self._buffer.read())
            log.flush()
            self._redirect_to(log.fileno())
        self.path = path

    @contextmanager
    def failures_logged(self, prefix: str = "") -> Iterator[None]:
        """Log the traceback of a failure in the block, and raise RunFailed in one line with the path of the log.

        A UserError gets only the prefix.
        """
        try:
            yield
        except UserError as error:
            raise UserError(f"{prefix}{error}") from error
        except Exception as error:
            traceback.print_exc()
            message = str(error)
            if not isinstance(error, RunFailed):
                message = f"{type(error).__name__}: {' '.join(message.split())[:300]}"
                if self.path is None:
                    traceback.print_exc(file=self.err)
            log = f"; log: {self.path}" if self.path else ""
            raise RunFailed(f"{prefix}{message}{log}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        self.out.flush()
        self.err.flush()
        os.dup2(self.out.fileno(), 1)
        os.dup2(self.err.fileno(), 2)
        self._buffer.close()

    @staticmethod
    def _redirect_to(descriptor: int) -> None:
        _flush()
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
