import signal
from collections.abc import Iterator

import pytest

from icpo_cli.config.schema import RewardConfig
from icpo_cli.rewards.verifier import Verifier

HANGS_AFTER = 30
"""Seconds after which what should take milliseconds is ended, so that the other tests go on."""


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """By rule alone, as the defaults have it. One a file: its pool takes a second."""
    with Verifier(RewardConfig()) as made:
        yield made


@pytest.fixture
def ended_if_it_hangs() -> Iterator[None]:
    """For what no deadline guards; a signal reaches a regular expression at work too."""

    def end(*_: object) -> None:
        raise TimeoutError(f"still at it after {HANGS_AFTER} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(HANGS_AFTER)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
