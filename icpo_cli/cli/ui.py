"""`icpo ui`: MLflow's own web interface on the store."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import Annotated

import typer

from icpo_cli.cli.runs import Store
from icpo_cli.errors import RunFailed, UserError

HOST = "127.0.0.1"
LOOKS_A_SECOND = 5


def ui(
    store: Store = None,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Of this machine, where it answers.")] = 5000,
) -> None:
    """Open MLflow's web interface on the store. Ctrl-C ends it."""
    from icpo_cli.track.read import mlflow_uri, open_store

    uri = mlflow_uri(store)
    if uri.startswith(("http://", "https://")):
        typer.echo(f"{uri} is a server with an interface of its own")
        return
    open_store(store)  # for its errors: what it opens is closed
    _check_free(port)
    status = _serve(uri, port)
    if status:
        raise RunFailed(f"MLflow's interface ended with status {status}; what it said stands above")


def _check_free(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: cannot be used: {error.strerror}; name another one") from None


def _serve(uri: str, port: int) -> int:
    """Until it ends or a signal asks for its end; its exit status, 0 where it was asked."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port)]
    # A reader of one's own runs needs one worker, and none of the processes that run jobs.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        [*command, "--workers", "1"], stdout=sys.stderr.fileno(), env=environment, start_new_session=True
    ) as server:
        asked = False

        def end(number: int, frame: FrameType | None) -> None:
            nonlocal asked
            asked = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # MLflow's process and the server that it starts

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        if _is_up(server, port):
            typer.echo(f"http://{HOST}:{port}")
        status = server.wait()
        return 0 if asked else status


def _is_up(server: subprocess.Popen[bytes], port: int) -> bool:
    """Waits until it answers; false where it ends before that."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(1 / LOOKS_A_SECOND)
    return False
