"""Grading that overlaps generation, for training and evaluation."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Verdict

BATCH = 128
"""Answers graded together: equal answers to equal golds are compared once per batch."""

Tag = TypeVar("Tag")


class BackgroundGrader(Generic[Tag]):
    """Grades submitted answers in one thread, batch by batch. ready() and rest() raise the errors of grading."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grader")
        self._waiting: dict[Grading, list[tuple[Tag, Sequence[Answer]]]] = {}
        self._working: list[Future[list[tuple[Tag, list[Verdict]]]]] = []

    def __enter__(self) -> "BackgroundGrader[Tag]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=error is None, cancel_futures=True)

    def submit(self, tag: Tag, answers: Sequence[Answer], grading: Grading) -> None:
        """Queue answers. A batch starts when the thread is idle or when BATCH answers of one grading are queued.

        `tag` is returned with their verdicts.
        """
        batch = self._waiting.setdefault(grading, [])
        batch.append((tag, answers))
        if sum(len(part) for _, part in batch) >= BATCH or all(future.done() for future in self._working):
            self._start(grading)

    def ready(self) -> list[tuple[Tag, list[Verdict]]]:
        """The verdicts completed since the last call."""
        done = [future for future in self._working if future.done()]
        self._working = [future for future in self._working if future not in done]
        return [graded for future in done for graded in future.result()]

    def rest(self) -> list[tuple[Tag, list[Verdict]]]:
        """All verdicts that ready() has not returned; waits for them."""
        for grading in list(self._waiting):
            self._start(grading)
        working, self._working = self._working, []
        return [graded for future in working for graded in future.result()]

    def _start(self, grading: Grading) -> None:
        batch = self._waiting.pop(grading)
        self._working.append(self._thread.submit(self._grade, batch, grading))

    def _grade(self, batch: list[tuple[Tag, Sequence[Answer]]], grading: Grading) -> list[tuple[Tag, list[Verdict]]]:
        verdicts = iter(self._verifier.verify([answer for _, answers in batch for answer in answers], grading))
        return [(tag, [next(verdicts) for _ in answers]) for tag, answers in batch]
