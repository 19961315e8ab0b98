"""An OpenAI-compatible server with scripted responses, most of them faulty."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

MODELS = ["judge-7b", "judge-72b"]
MODEL_LIST = json.dumps({"data": [{"id": name} for name in MODELS]}).encode()
SLOW_SECONDS = 30.0
"""Longer than any timeout of a test; closing the server ends the wait."""


@dataclass(frozen=True)
class Asked:
    """One request as the server received it."""

    path: str
    body: dict[str, Any]
    authorization: str
    at: float
    """Seconds of the monotonic clock."""

    @property
    def prompt(self) -> str:
        return self.body["prompt"] if "prompt" in self.body else self.body["messages"][0]["content"]


Action = Callable[["Handler"], None]


def status(code: int, body: bytes = b'{"error": {"message": "scripted"}}', **headers: str) -> Action:
    """A response with that status; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(code, body, named)


def says(reply: object, finish: str = "stop", **message: object) -> Action:
    """A completion with that text, in the form of the requested endpoint."""

    def act(handler: "Handler") -> None:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        if handler.path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": reply, **message}
        else:
            choice["text"] = reply
        handler.answer(200, json.dumps({"id": "1", "object": "completion", "choices": [choice]}).encode())

    return act


def hang_up(handler: "Handler") -> None:
    """Close the connection before the first byte."""
    handler.cut()


def half_a_body(handler: "Handler") -> None:
    """Close the connection in the middle of the announced body."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "Verdict: CORR')
    handler.cut()


def slow(handler: "Handler") -> None:
    """Do not respond for a long time."""
    handler.server.ended.wait(SLOW_SECONDS)
    handler.cut()


def drip(handler: "Handler") -> None:
    """Send a byte now and then, so that no single read times out."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while not handler.server.ended.wait(0.1):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def flood(handler: "Handler") -> None:
    """Send more than the client's size limit."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while not handler.server.ended.is_set():
        handler.wfile.write(b" " * 65536)


@dataclass
class FaultyServer(ThreadingHTTPServer):
    """Responds to a prompt that contains a key of `script` with the key's next action; the last one repeats.

    Other requests get `otherwise`. Everything asked is kept in `asked`.
    """

    script: dict[str, list[Action]] = field(default_factory=dict)
    otherwise: Action = field(default_factory=lambda: says("Equal.\nVerdict: CORRECT"))
    models: Action = field(default_factory=lambda: status(200, MODEL_LIST))

    def __post_init__(self) -> None:
        self.request_queue_size = 128  # as many may knock at once
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> "FaultyServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""

    def asked_about(self, key: str) -> list[Asked]:
        return [request for request in self.asked if key in request.prompt]

    def next_action(self, asked: Asked) -> Action:
        with self._lock:
            self.asked.append(asked)
            for key, actions in self.script.items():
                if key in asked.prompt:
                    return actions.pop(0) if len(actions) > 1 else actions[0]
        return self.otherwise


class Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.models(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(self.path, body, self.headers.get("Authorization", ""), time.monotonic())
        self.server.next_action(asked)(self)

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
