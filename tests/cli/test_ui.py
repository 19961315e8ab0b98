"""`icpo ui`: the real MLflow interface on a store, and past runs read through the server that it is."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from icpo_cli.track.read import open_store
from icpo_cli.track.sqlite_runs import SqliteRuns
from tests.report.stores import Made


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_end(number: signal.Signals, made_store: Made) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "icpo_cli", "ui", "--port", str(port)],
        cwd=made_store.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"http://127.0.0.1:{port}\n"
        served, straight = open_store(f"http://127.0.0.1:{port}"), SqliteRuns(made_store.folder / "mlflow.db")
        assert served.runs() == straight.runs()
        assert served.history(made_store.icpo, ["omega"]) == straight.history(made_store.icpo, ["omega"])
        assert served.artifact(made_store.icpo, "config.yaml") == straight.artifact(made_store.icpo, "config.yaml")
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    with socket.socket() as again:  # nothing is left behind that listens
        assert again.connect_ex(("127.0.0.1", port)) != 0


def test_a_server_has_its_own(icpo_here: Callable) -> None:
    done = icpo_here("ui", "--store", "https://mlflow.example.org")
    assert (done.status, done.out) == (0, "https://mlflow.example.org is a server with an interface of its own\n")


def test_mistakes(made_store: Made, icpo_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = icpo_here("ui")
    assert done.status == 2 and "mlflow.db: no such MLflow store" in done.err and list(tmp_path.iterdir()) == []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = icpo_here("ui", "--store", str(made_store.folder / "mlflow.db"), "--port", port)
    assert done.status == 2 and f"--port {port}: cannot be used: Address already in use; name another one" in done.err
