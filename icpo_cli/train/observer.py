"""Events of the training loop, and the time of its phases."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

import torch

from icpo_cli.evaluate.score import EvalResult
from icpo_cli.interrupt import StopSignal

PHASES = ("rollout", "reward", "logprobs", "update", "sync")
"""The phases of an iteration. If the first update computes the old log-probs, they are timed under update."""


class Observer(Protocol):
    """Receives the events of the loop, and displays or logs them."""

    def phase(self, iteration: int, name: str) -> None:
        """A phase begins: rollout, reward, logprobs, update, sync, eval TASK or save."""

    def iteration(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """An iteration is complete."""

    def evaluation(self, iteration: int, result: EvalResult) -> None:
        """A task's result after `iteration` iterations."""

    def stopping(self) -> None:
        """A signal requested a stop. Called in the signal handler."""

    def note(self, text: str) -> None:
        """A message that the user should read."""


class PhaseClock:
    """Measures the seconds of each phase of one iteration; a second signal interrupts a phase."""

    def __init__(self, iteration: int, observer: Observer, stop: StopSignal, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self.finished: list[list[float]] = []
        """[rounds][P] seconds from the start of a round's rollout until a group of this rank had all its responses."""
        self.flops = 0.0
        """Matmul FLOPs of the update on this rank."""
        self._stop = stop
        self._iteration = iteration
        self._observer = observer
        self._device = device

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._observer.phase(self._iteration, name)
        start = perf_counter()
        with self._stop.interruptible():
            yield
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)  # a phase's kernels belong to its time
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start

    def start_round(self) -> Callable[[], None]:
        """Start of a round's rollout; the function returned is called when a group has all its responses."""
        start, finished = perf_counter(), list[float]()
        self.finished.append(finished)
        return lambda: finished.append(perf_counter() - start)
