"""Grading of stored responses, and the hash that verdicts are stored under."""

import hashlib
from collections.abc import Sequence

from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import Stored
from icpo_cli.grading.verifier import Answer, Verifier
from icpo_cli.records import Question, Verdict


def grade(verifier: Verifier, task: Task, responses: Sequence[Stored]) -> dict[Key, Verdict]:
    """A verdict on each."""
    verdicts = verifier.verify(answers_to(task, responses), task.grading)
    return {response.key: verdict for response, verdict in zip(responses, verdicts, strict=True)}


def answers_to(task: Task, responses: Sequence[Stored]) -> list[Answer]:
    """The responses as answers to the task's golds."""
    questions: dict[str, Question] = {question.id: question for question in task.questions}
    return [Answer(r.text, questions[r.id].gold, questions[r.id].text) for r in responses]


def grading_hash(verifier: Verifier, task: Task) -> str:
    """All that a verdict depends on beside the response: equal ones give equal verdicts."""
    parts = (verifier.version, task.grading, task.loaded.fingerprint)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
