import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.config.schema import JudgeConfig, RewardConfig
from icpo_cli.grading.judge.judge import OpenAIJudge
from icpo_cli.grading.verifier import Verifier
from tests.grading.faulty_server import FaultyServer
from tests.grading.judging import JudgeOf

HANGS_AFTER = 30
"""Seconds after which a call that should take milliseconds is interrupted, so that other tests can run."""


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """The default verifier, without a judge. One per test file: its pool takes a second to start."""
    with Verifier(RewardConfig()) as made:
        yield made


@pytest.fixture
def ended_if_it_hangs() -> Iterator[None]:
    """A deadline for code outside the sandbox; a signal interrupts a running regular expression too."""

    def end(*_: object) -> None:
        raise TimeoutError(f"not done after {HANGS_AFTER} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(HANGS_AFTER)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def judge_of(server: FaultyServer, tmp_path: Path) -> Iterator[JudgeOf]:
    """Makes judges that use the faulty server; those of one test share a cache."""
    made: list[OpenAIJudge] = []

    def make(**settings: Any) -> OpenAIJudge:
        usual: dict[str, Any] = {
            "mode": "alone",
            "url": server.url,
            "retries": 1,
            "cache": str(tmp_path / "judge.sqlite"),
        }
        made.append(OpenAIJudge(JudgeConfig(**{**usual, **settings})))
        return made[-1]

    yield make
    for judge in made:
        judge.close()
