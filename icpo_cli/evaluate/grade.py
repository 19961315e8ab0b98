"""Verdicts while responses still come in: a thread of its own grades what has finished."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import Stored
from icpo_cli.grading.verifier import Answer, Verifier
from icpo_cli.records import Question, Verdict

BATCH = 64
"""Responses graded together while others are generated."""


def grade(verifier: Verifier, task: Task, responses: Sequence[Stored]) -> dict[Key, Verdict]:
    """A verdict on each."""
    questions: dict[str, Question] = {question.id: question for question in task.questions}
    answers = [Answer(r.text, questions[r.id].gold, questions[r.id].text) for r in responses]
    verdicts = verifier.verify(answers, task.grading)
    return {response.key: verdict for response, verdict in zip(responses, verdicts, strict=True)}


def grading_hash(verifier: Verifier, task: Task) -> str:
    """All that a verdict depends on beside the response: equal ones give equal verdicts."""
    parts = (verifier.version, task.grading, task.loaded.fingerprint)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class BackgroundGrader:
    """Grades one task's batch after another in one thread. Its failures are raised where its verdicts are taken."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grader")
        self._waiting: dict[str, list[Stored]] = {}
        self._working: list[tuple[Task, Future[dict[Key, Verdict]]]] = []

    def __enter__(self) -> "BackgroundGrader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def submit(self, task: Task, responses: Sequence[Stored]) -> None:
        """To be graded: at once while the thread is idle, else when a batch of the task is together."""
        waiting = self._waiting.setdefault(task.name, [])
        waiting.extend(responses)
        if waiting and (len(waiting) >= BATCH or not self._working):
            self._start(task)

    def ready(self) -> list[tuple[Task, dict[Key, Verdict]]]:
        """What has been graded since the last call."""
        over = [(task, future) for task, future in self._working if future.done()]
        self._working = [pair for pair in self._working if pair not in over]
        return [(task, future.result()) for task, future in over]

    def rest(self, tasks: Sequence[Task]) -> list[tuple[Task, dict[Key, Verdict]]]:
        """The verdicts on everything else that was submitted, waited for."""
        for task in tasks:
            if self._waiting.get(task.name):
                self._start(task)
        working, self._working = self._working, []
        return [(task, future.result()) for task, future in working]

    def _start(self, task: Task) -> None:
        batch = self._waiting.pop(task.name)
        self._working.append((task, self._thread.submit(grade, self._verifier, task, batch)))
