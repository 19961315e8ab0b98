"""Two evaluations on the same questions, graded alike."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.evaluate.grade import grade
from icpo_cli.evaluate.past import Past
from icpo_cli.evaluate.score import Part
from icpo_cli.grading.verifier import Verifier
from icpo_cli.statistics import paired_comparison


@dataclass(frozen=True)
class Comparison:
    """Accuracy of one evaluation less that of another, in percentage points. None where it cannot be said."""

    bench: str
    title: str
    n: int
    """Questions that both answered."""
    difference: float | None
    stderr: float | None
    ci95: tuple[float | None, float | None]
    p_value: float | None
    smallest_detectable: float | None
    """The true difference that these questions would show in 80 % of cases, at the 5 % level."""


def compare(parts: Sequence[Part], others: Sequence[Part]) -> list[Comparison]:
    """Of each benchmark that both have. `others` were graded with the same tasks as `parts`, but for their k."""
    by_name = {other.task.name: other for other in others}
    found = []
    for part in parts:
        if part.task.name in by_name:
            paired = paired_comparison(part.correct(), by_name[part.task.name].correct())
            found.append(
                Comparison(
                    bench=part.task.name,
                    title=part.task.benchmark.title,
                    n=paired.n,
                    difference=_known(paired.difference),
                    stderr=_known(paired.stderr),
                    ci95=(_known(paired.interval[0]), _known(paired.interval[1])),
                    p_value=_known(paired.p_value),
                    smallest_detectable=_known(paired.minimum_detectable_effect),
                )
            )
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def others_of(past: Past, parts: Sequence[Part], verifier: Verifier) -> list[Part]:
    """The responses of the evaluation compared with, to the same questions and graded the same way."""
    others = []
    for part in parts:
        responses = past.responses.get(part.task.name)
        if responses:
            k = 1 + max(index for _, index in responses)
            task = dataclasses.replace(part.task, k=k)
            asked = [responses[key] for key in task.keys if key in responses]
            others.append(Part(task, responses, grade(verifier, task, asked)))
    return others
