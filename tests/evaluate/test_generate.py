from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from icpo_cli.config.schema import Config, RewardConfig
from icpo_cli.evaluate.generate import generate, pending_of
from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import TaskResponses, score
from icpo_cli.evaluate.store import ResponseStore
from icpo_cli.grading.verifier import Verifier
from tests.evaluate.benchmark import CountingSampler, SilentObserver, make_task, with_prompts


class Stopping:
    """Returns true from the `after`-th call on; called after each step."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def run(tasks: Sequence[Task], folder: Path, stop_after: int = 1000) -> tuple[CountingSampler, list[TaskResponses]]:
    sampler = CountingSampler()
    with ExitStack() as stack:
        stores = [
            stack.enter_context(ResponseStore(folder / task.name, {}, with_prompts(task), "hash")) for task in tasks
        ]
        verifier = stack.enter_context(Verifier(RewardConfig()))
        pending = pending_of(stores)
        generate(Config(), stores, pending, sampler, verifier, SilentObserver(), Stopping(stop_after))
        return sampler, [TaskResponses(store.task, store.responses, store.verdicts) for store in stores]


def test_one_stream_with_longest_prompts_first(tmp_path: Path) -> None:
    sampler, parts = run([make_task("short", count=2), make_task("long", count=5)], tmp_path)
    lengths = [len(request.tokens) for request in sampler.requests]
    assert lengths == sorted(lengths, reverse=True) and len(lengths) == 14
    assert lengths[-4:] == [1, 1, 1, 1]  # of both benchmarks
    assert len({request.seed for request in sampler.requests}) == 14
    assert [score(part).avg_at_k for part in parts] == [100.0, 100.0]


def test_stored_responses_are_not_generated_again(tmp_path: Path) -> None:
    first, _ = run([make_task(count=5, limit=2)], tmp_path)
    assert len(first.requests) == 4
    more, [part] = run([make_task(count=5, k=3)], tmp_path)
    assert len(more.requests) == 15 - 4
    assert {request.seed for request in more.requests}.isdisjoint({request.seed for request in first.requests})
    assert not score(part).partial
    nothing, _ = run([make_task(count=5, k=3)], tmp_path)
    assert nothing.requests == []


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_after_a_stop_the_same_responses_are_generated(steps: int, tmp_path: Path) -> None:
    _, [whole] = run([make_task()], tmp_path / "whole")
    _, [part] = run([make_task()], tmp_path / "stopped", stop_after=steps)
    result = score(part)
    assert result.partial and result.missing.responses == 8 - 2 * ((steps + 1) // 2)
    sampler, [ended] = run([make_task()], tmp_path / "stopped")
    assert len(sampler.requests) == result.missing.responses
    assert ended.responses == whole.responses and ended.verdicts == whole.verdicts
    assert score(ended) == score(whole)


def test_an_error_of_grading_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("the grader broke")

    monkeypatch.setattr(Verifier, "verify", broken)
    with pytest.raises(RuntimeError, match="the grader broke"):
        run([make_task()], tmp_path)
