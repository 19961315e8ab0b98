"""Ranks on several hosts over ssh.

One connection per host. Its standard input carries the ranks' settings as a line of JSON, then bytes: the number of a
signal to forward, or 0 as a heartbeat. So no value passes a shell, signals reach the ranks, and a lost host is noticed
on both sides. `python -m icpo_cli.train.hosts` is the other end.
"""

import contextlib
import json
import os
import select
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from io import RawIOBase
from pathlib import Path

from icpo_cli.errors import EXIT_FAILED, EXIT_USER_ERROR, RunFailed, UserError
from icpo_cli.train.launch import GRACE_SECONDS, forwarded_signals, run_local_ranks, terminate, wait_for_all

HEARTBEAT_SECONDS = 1
LOST_SECONDS = 30
"""Without a sign of life for this long, the other side is taken for lost."""
SSH = ("ssh", "-o", "BatchMode=yes", "-o", f"ServerAliveInterval={LOST_SECONDS // 3}", "-o", "ServerAliveCountMax=2")
SSH_FAILED = 255


def read_hostfile(path: Path) -> dict[str, int]:
    """The ranks of each host, in order, from lines HOST slots=N; # begins a comment. Raises UserError."""
    if not path.is_file():
        raise UserError(f"--hostfile: {path}: no such file")
    hosts: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        host, slots = words[0], words[1].removeprefix("slots=") if len(words) == 2 else ""
        if not slots.isdecimal() or int(slots) == 0 or host in hosts or host.startswith("-"):
            raise UserError(f"--hostfile: {path}:{number}: {line.strip()!r} is not HOST slots=N, each host once")
        hosts[host] = int(slots)
    if not hosts:
        raise UserError(f"--hostfile: {path}: no hosts")
    return hosts


def run_on_hosts(hosts: dict[str, int], arguments: Sequence[str]) -> int:
    """Start the ranks of `icpo train` on every host, wait for them, and return their exit status.

    The ranks run in this folder, with this Python and this environment. Raises RunFailed, naming the host, when one
    fails or is lost; the ranks of the others are terminated.
    """
    size = sum(hosts.values())
    group = {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", next(iter(hosts)).rpartition("@")[2]),
        "MASTER_PORT": os.environ.get("MASTER_PORT", str(20000 + os.getpid() % 20000)),
    }
    connections: list[subprocess.Popen[bytes]] = []
    counts = [*hosts.values()]

    def send(number: int) -> None:
        for connection in connections:
            with contextlib.suppress(BrokenPipeError):
                connection.stdin.write(bytes([number]))  # type: ignore[union-attr]

    try:
        with forwarded_signals(send):
            for index, host in enumerate(hosts):
                ranks = {"count": counts[index], "first": sum(counts[:index])}
                connections.append(_connect(host, {**ranks, "arguments": [*arguments], "group": group}))
            failed = wait_for_all(connections, HEARTBEAT_SECONDS, lambda: send(0))
    finally:
        _close(connections)
    if failed is None:
        return connections[0].returncode
    host, status = [*hosts][failed], connections[failed].returncode
    if status == EXIT_USER_ERROR:
        return EXIT_USER_ERROR
    how = "no connection, or it was lost" if status == SSH_FAILED else f"its ranks failed with status {status}"
    raise RunFailed(f"host {host}: {how}; the ranks of the other hosts were terminated")


def _connect(host: str, ranks: dict[str, object]) -> subprocess.Popen[bytes]:
    path = [f"PYTHONPATH={os.environ['PYTHONPATH']}"] if "PYTHONPATH" in os.environ else []
    command = (
        shlex.join(["cd", str(Path.cwd())]) + " && exec " + shlex.join(["env", *path, sys.executable, "-m", __name__])
    )
    # Ctrl-C reaches this process alone, which forwards it once.
    process = subprocess.Popen([*SSH, host, command], stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps({"environment": {**os.environ}, **ranks}).encode() + b"\n")  # type: ignore[union-attr]
    return process


def _close(connections: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the input of each connection, upon which the other end terminates its ranks and exits."""
    for connection in connections:
        connection.stdin.close()  # type: ignore[union-attr]
    deadline = time.monotonic() + GRACE_SECONDS + 2
    for connection in connections:
        with contextlib.suppress(subprocess.TimeoutExpired):
            connection.wait(max(0.1, deadline - time.monotonic()))
    terminate(connections)


def main() -> None:
    """Run this host's ranks as the connection says, until they end or the connection does."""
    with open(0, "rb", buffering=0, closefd=False) as connection:
        ranks = json.loads(connection.readline())
        os.environ.update(ranks.pop("environment"))
        closed = threading.Event()
        threading.Thread(target=_follow, args=(connection, closed), daemon=True).start()

        def end_if_closed() -> None:
            if closed.is_set():
                sys.exit(EXIT_FAILED)

        status = EXIT_FAILED
        try:
            status = run_local_ranks(**ranks, tick=end_if_closed)
        except RunFailed as error:
            print(f"{socket.gethostname()}: {error}", file=sys.stderr)
        finally:
            os._exit(status)  # the thread may be waiting for a byte


def _follow(connection: RawIOBase, closed: threading.Event) -> None:
    """Send the signals that arrive to this process; set `closed` when the connection ends or is silent."""
    while select.select([connection], [], [], LOST_SECONDS)[0]:
        received = connection.read(1)
        if not received:
            break
        if received[0]:
            os.kill(os.getpid(), received[0])
    closed.set()


if __name__ == "__main__":
    main()
