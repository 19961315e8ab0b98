"""Imports the heavy libraries once, then forks a process for every requested command. Started by fork_server.py.

Requests come over the socket whose descriptor is the argument: JSON, with the descriptors of a report pipe, stdout and
stderr. The report pipe gets the process's id at once, and its exit status (negative for a signal) when it has ended.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

LIBRARIES = (
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "icpo_cli.cli.app",
    "icpo_cli.evaluate.session",
    "icpo_cli.learner.deepspeed_learner",
    "icpo_cli.rollout.cpu_kernels",
    "icpo_cli.train.preflight",
    "icpo_cli.train.session",
    "mlflow.store.tracking.sqlalchemy_store",
    "reasoning_gym",
    "transformers.models.llama.modeling_llama",
    "vllm.entrypoints.llm",
    "vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors",
    "vllm.v1.worker.cpu_worker",
)
"""Modules that `icpo train` and `icpo eval` import; none starts a Python thread or a pool."""


def run(request: dict[str, Any]) -> int:
    """`python -m MODULE ARGUMENTS` or `python SCRIPT ARGUMENTS` in this process; its exit status."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    sys.argv = [request["target"], *request["arguments"]]
    try:
        if request["target"].endswith(".py"):
            runpy.run_path(request["target"], run_name="__main__")
        else:
            runpy.run_module(request["target"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


class Server:
    """Forks a process for every request and reports how it ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._running: dict[int, tuple[int, int]] = {}
        """{pidfd: (pid, report pipe)}"""

    def serve(self) -> None:
        """Serve until the client closes the socket; running commands continue."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._running:
                    self._report_end(key.fd)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._control, 1 << 20, 3)
                if not message:
                    return
                self._start(json.loads(message), *descriptors)

    def _start(self, request: dict[str, Any], report: int, out: int, err: int) -> None:
        pid = os.fork()
        if pid == 0:
            for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
                os.dup2(descriptor, number)
            os.closerange(3, 1024)
            end(run(request))
        os.write(report, f"{pid}\n".encode())
        os.close(out)
        os.close(err)
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = (pid, report)
        self._selector.register(pidfd, selectors.EVENT_READ)

    def _report_end(self, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        pid, report = self._running.pop(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # the client does not wait for it
            os.write(report, f"{status}\n".encode())
        os.close(report)
        os.close(pidfd)


def end(status: int) -> NoReturn:
    """Exit as the interpreter would, without its slow teardown of all modules."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for library in sys.argv[2:] or LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()
    Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    os._exit(0)
