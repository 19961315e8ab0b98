"""Verdicts on groups while others are still sampled: a thread of its own grades what has finished."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Group, Verdict

BATCH = 16
"""Groups graded together while others are sampled: equal answers are compared once a batch."""

Placed = tuple[int, Group]


class BackgroundVerdicts:
    """Grades one batch after another, each when the one before is done or enough have come together."""

    def __init__(self, verifier: Verifier, config: RewardConfig, group_size: int) -> None:
        """`group_size`: of a group's responses, the first ones that are graded."""
        self._verifier, self._config, self._size = verifier, config, group_size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grader")
        self._waiting: list[Placed] = []
        self._working: list[tuple[list[int], Future[list[list[Verdict]]]]] = []

    def __enter__(self) -> "BackgroundVerdicts":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=error is None, cancel_futures=True)

    def take(self, place: int, group: Group) -> None:
        """One that has been sampled."""
        self._waiting.append((place, group.first(self._size)))
        if len(self._waiting) >= BATCH or all(future.done() for _, future in self._working):
            self._start()

    def rest(self) -> list[list[Verdict]]:
        """[P][G] the verdicts on all groups in the order of their places, waited for. Raises what grading raised."""
        if self._waiting:
            self._start()
        graded = {
            place: verdicts
            for places, future in self._working
            for place, verdicts in zip(places, future.result(), strict=True)
        }
        return [graded[place] for place in sorted(graded)]

    def _start(self) -> None:
        batch, self._waiting = self._waiting, []
        groups: Sequence[Group] = [group for _, group in batch]
        future = self._thread.submit(verdicts_of, groups, self._verifier, self._config)
        self._working.append(([place for place, _ in batch], future))


def verdicts_of(groups: Sequence[Group], verifier: Verifier, config: RewardConfig) -> list[list[Verdict]]:
    """[P][G] the verifier's verdict on each response."""
    answers = [
        Answer(response.text, group.prompt.gold, group.prompt.question)
        for group in groups
        for response in group.responses
    ]
    verdicts = iter(verifier.verify(answers, Grading(config.extract, config.rule)))
    return [[next(verdicts) for _ in group.responses] for group in groups]
