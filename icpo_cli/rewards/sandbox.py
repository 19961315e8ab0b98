"""Comparisons that may hang, crash or eat memory, in processes that can be ended: each with a deadline and a limit."""

import logging
import multiprocessing
import os
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from icpo_cli.config.schema import SandboxConfig
from icpo_cli.records import Gold, Verdict, VerdictKind
from icpo_cli.rewards.rules.strict import readable

MOST_WORKERS = 8
PRELOADED = ["icpo_cli.rewards.rules.equivalence"]
"""What takes a second to import: done once, in the process that workers are forked from."""


class Sandbox:
    """A pool of workers, made at the first comparison. One that is ended or dies is replaced."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._pool: ProcessPool | None = None

    def compare(self, rule: Callable[[Gold, str], Verdict], pairs: Sequence[tuple[Gold, str]]) -> list[Verdict]:
        """The rule's verdict on each (gold, answer), in order. `rule` is a function of a module."""
        futures = [self._submit(rule, gold, answer) for gold, answer in pairs]
        return [self._verdict(future, answer) for future, (_, answer) in zip(futures, pairs, strict=True)]

    def readable(self, golds: Sequence[Gold]) -> list[bool]:
        """Whether each gold answer has a mathematical reading; one whose reading fails has none."""
        futures = [self._submit(readable, gold) for gold in golds]
        return [future.exception() is None and bool(future.result()) for future in futures]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> ProcessFuture:
        return self._started().schedule(function, args=arguments, timeout=self._config.deadline_seconds)

    def _started(self) -> ProcessPool:
        if self._pool is None:
            # Not fork: this process may hold an engine's threads. Not spawn: a replaced worker should cost nothing.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(PRELOADED)
            workers = self._config.workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
            self._pool = ProcessPool(
                max_workers=workers, context=context, initializer=_confine, initargs=[self._config.memory_mib]
            )
        return self._pool

    def _verdict(self, future: ProcessFuture, answer: str) -> Verdict:
        try:
            verdict: Verdict = future.result()
            return verdict
        except TimeoutError:
            seconds = self._config.deadline_seconds
            return Verdict(VerdictKind.TIMEOUT, answer, "deadline", f"not compared within {seconds:g} seconds")
        except ProcessExpired as error:
            reason = f"the comparison ended its process (status {error.exitcode})"
        except MemoryError:
            reason = f"the comparison wanted more than {self._config.memory_mib} MiB"
        except Exception as error:  # whatever a comparison raises is a verdict, told apart from a wrong answer
            reason = f"the comparison raised {type(error).__name__}: {str(error)[:100]}"
        return Verdict(VerdictKind.ERROR, answer, "crash", reason)


def _confine(memory_mib: int) -> None:
    """Bound what this worker may add to its memory, and keep it from leaving a core file."""
    logging.disable(logging.CRITICAL)
    most = psutil.Process().memory_info().vms + memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
