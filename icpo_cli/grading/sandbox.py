"""Comparisons in worker processes, each with a deadline and a memory limit, since they may hang or crash."""

import logging
import multiprocessing
import os
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, TimeoutError
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from icpo_cli.config.schema import SandboxConfig
from icpo_cli.grading.rules.strict import readable
from icpo_cli.records import Gold, RuleName, Verdict, VerdictKind

MAX_WORKERS = 8
PRELOADED = ["icpo_cli.grading.rules.equivalence"]
"""Imports that take a second: done once, in the process that workers are forked from."""


class Sandbox:
    """A pool of worker processes, started by start() or the first comparison. A worker that dies is replaced."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._pool: ProcessPool | None = None

    def start(self) -> None:
        """Start the workers without waiting: their imports take seconds."""
        self._submit(_nothing, ())

    def compare(self, rule: Callable[[Gold, str], Verdict], pairs: Sequence[tuple[Gold, str]]) -> list[Verdict]:
        """The rule's verdict on each (gold, answer), in order. `rule` must be picklable."""
        outcomes = self._run(rule, pairs)
        return [self._verdict(outcome, answer) for outcome, (_, answer) in zip(outcomes, pairs, strict=True)]

    def readable(self, golds: Sequence[Gold]) -> list[bool]:
        """Whether each gold answer can be read as mathematics; a crash or timeout counts as no."""
        return [outcome is True for outcome in self._run(readable, [(gold,) for gold in golds])]

    def _run(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The function's results, or the exceptions it raised, in order.

        If the pool broke (its idle workers were killed), unfinished calls are repeated once in a new pool. Only once:
        a batch that breaks every pool would never end.
        """
        outcomes: list[Any] = [None] * len(arguments)
        left = list(range(len(arguments)))
        for last in (False, True):
            futures = [(index, self._submit(function, arguments[index])) for index in left]
            left = []
            for index, future in futures:
                outcomes[index] = _outcome(future)
                if isinstance(outcomes[index], BROKEN) and not last:
                    left.append(index)
            if not left:
                break
            self.close()
        return outcomes

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> ProcessFuture | Exception:
        try:
            return self._started().schedule(
                _contained, args=[function, *arguments], timeout=self._config.deadline_seconds
            )
        except RuntimeError as error:  # the pool is broken
            return error

    def _started(self) -> ProcessPool:
        if self._pool is None:
            # Not fork: this process may have an engine's threads. Not spawn: a replaced worker should cost nothing.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(PRELOADED)
            workers = self._config.workers or min(len(os.sched_getaffinity(0)), MAX_WORKERS)
            self._pool = ProcessPool(
                max_workers=workers, context=context, initializer=_confine, initargs=[self._config.memory_mib]
            )
        return self._pool

    def _verdict(self, outcome: Any, answer: str) -> Verdict:
        if isinstance(outcome, Verdict):
            return outcome
        if isinstance(outcome, TimeoutError):
            seconds = self._config.deadline_seconds
            return Verdict(VerdictKind.TIMEOUT, answer, RuleName.DEADLINE, f"not compared within {seconds:g} seconds")
        if isinstance(outcome, ProcessExpired):
            reason = f"the comparison ended its process (status {outcome.exitcode})"
        elif isinstance(outcome, MemoryError):
            reason = f"the comparison needed more than {self._config.memory_mib} MiB"
        else:
            reason = f"the comparison raised {type(outcome).__name__}: {str(outcome)[:100]}"
        return Verdict(VerdictKind.ERROR, answer, RuleName.CRASH, reason)


BROKEN = (RuntimeError, CancelledError)
"""Errors of a pool whose idle workers were killed, and of the calls that were queued in it."""


class WorkerExit(Exception):
    """A comparison tried to exit its worker process."""


def _nothing() -> None:
    """A call that only waits for a worker to be ready."""


def _contained(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function in a worker; what would end the worker becomes an ordinary exception."""
    try:
        return function(*arguments)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise WorkerExit(type(error).__name__) from None
    except RuntimeError as error:  # such as RecursionError; must differ from a broken pool's RuntimeError
        raise WorkerExit(f"{type(error).__name__}: {error}") from None


def _outcome(future: ProcessFuture | Exception) -> Any:
    if isinstance(future, Exception):
        return future
    try:
        return future.result()
    except (CancelledError, Exception) as error:  # any error of a comparison becomes a verdict
        return error


def _confine(memory_mib: int) -> None:
    """Limit this worker's memory growth and disable core dumps."""
    logging.disable(logging.CRITICAL)
    most = psutil.Process().memory_info().vms + memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
