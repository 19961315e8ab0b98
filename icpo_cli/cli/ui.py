"""`icpo ui`: MLflow's own web interface for the store."""

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
from icpo_cli.track.read import mlflow_uri, open_store

HOST = "127.0.0.1"
POLL_SECONDS = 0.2


def ui(
    store: Store = None,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Port of the local web server.")] = 5000,
) -> None:
    """Open MLflow's web interface on the store. Ctrl-C ends it."""
    uri = mlflow_uri(store)
    if uri.startswith(("http://", "https://")):
        typer.echo(f"{uri} is a server with an interface of its own")
        return
    open_store(store)  # raises UserError if the store cannot be read
    _check_free(port)
    status = _serve(uri, port)
    if status:
        raise RunFailed(f"MLflow's interface ended with status {status}; its messages are above")


def _check_free(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: cannot be used: {error.strerror}; name another one") from None


def _serve(uri: str, port: int) -> int:
    """Run the server until it ends or a signal stops it. Returns its exit status, 0 after a signal."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(port)]
    # For one reader one worker is enough, and the processes that run jobs are not needed.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        [*command, "--workers", "1"], stdout=sys.stderr.fileno(), env=environment, start_new_session=True
    ) as server:
        stopped = False

        def end(number: int, frame: FrameType | None) -> None:
            nonlocal stopped
            stopped = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # MLflow's process and the server that it starts

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        if _is_up(server, port):
            typer.echo(f"http://{HOST}:{port}")
        status = server.wait()
        return 0 if stopped else status


def _is_up(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server answers; False if it ends before."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(POLL_SECONDS)
    return False
