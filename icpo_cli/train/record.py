"""Receivers of the training loop's events: the display, the records of rank 0, and the clock of phases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

import torch

from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.evaluate.table import logged_result, metrics_of
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.parquet import Row, write_table
from icpo_cli.track.tracker import Tracker


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


class RunRecord:
    """Writes responses as parquet, metrics to the journal and MLflow; keeps the last values for the final report."""

    def __init__(self, tracker: Tracker, tasks: Sequence[Task]) -> None:
        """`tasks`: those whose evaluations before a resume are read back from the journal."""
        self.metrics: dict[str, float] = {}
        self.evaluations: dict[int, dict[str, EvalResult]] = {}
        """By iteration and task."""
        self._tracker = tracker
        for entry in tracker.entries():
            self.metrics |= entry.metrics
            for task in tasks:
                if (result := logged_result(task, entry.metrics)) is not None:
                    self.evaluations.setdefault(entry.step, {})[task.name] = result

    def iteration(self, iteration: int, rows: Sequence[Row], metrics: dict[str, float]) -> dict[str, float]:
        """Store an iteration; returns the metrics that were finite."""
        path = self._tracker.run.responses_file(iteration)
        path.parent.mkdir(exist_ok=True)
        write_table([{"iteration": iteration, **row} for row in rows], path)
        finite = self._tracker.log(iteration, metrics)
        self._tracker.log_artifact(path)
        self.metrics |= finite
        return finite

    def evaluation(self, iteration: int, result: EvalResult) -> None:
        """Log a task's result."""
        self.evaluations.setdefault(iteration, {})[result.bench] = result
        self.metrics |= self._tracker.log(iteration, metrics_of([result]))
