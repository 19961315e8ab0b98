"""Commands in processes forked from one that has the heavy libraries imported.

Importing torch, vLLM, DeepSpeed and MLflow takes two thirds of the processor time of a short run. What a forked process
computes equals that of a new interpreter: test_resume.py compares the two bit for bit.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    # icpo sets the same before it imports vLLM, which reads them at import.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    # vLLM compiles a small function (the rank of a token among its log-probs); compiling costs more than it saves.
    "TORCHDYNAMO_DISABLE": "1",
}


@dataclass(frozen=True)
class Finished:
    """Result of a finished command."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


class Process:
    """A running command, with the interface of subprocess.Popen."""

    def __init__(self, report: IO[str], out: IO[bytes], err: IO[bytes]) -> None:
        self._report, self._out, self._err = report, out, err
        self.pid = int(report.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._status(0)

    def wait(self, timeout: float = 600) -> int:
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout, self._text(self._out), self._text(self._err))
        return status

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        self.wait(timeout)
        return self._text(self._out), self._text(self._err)

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode

    @staticmethod
    def _text(file: IO[bytes]) -> str:
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


class ForkServer:
    """Client of fork_server_process.py."""

    def __init__(self, *libraries: str) -> None:
        """`libraries`: modules that are imported before; by default those of `icpo train` and `icpo eval`."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "fork_server_process.py"), str(theirs.fileno()), *libraries],
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()
        self._server.wait()

    def start(
        self, target: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None
    ) -> Process:
        """`python -m TARGET ARGUMENTS`, or `python TARGET ARGUMENTS` for a file."""
        request = {
            "target": target,
            "arguments": list(arguments),
            "cwd": str(cwd),
            "env": {**os.environ, **(environment or {})},
        }
        ours, theirs = os.pipe()
        out, err = (os.fdopen(os.memfd_create(name), "rb") for name in ("stdout", "stderr"))
        socket.send_fds(self._control, [json.dumps(request).encode()], [theirs, out.fileno(), err.fileno()])
        os.close(theirs)
        return Process(os.fdopen(ours), out, err)

    def run(
        self, target: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None
    ) -> Finished:
        process = self.start(target, arguments, cwd, environment)
        out, err = process.communicate()
        return Finished(process.wait(), out, err)
