import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fork_server import ForkServer

KILLER = Path(__file__).with_name("killed_process.py")


@pytest.fixture
def icpo_killed(fork_server: ForkServer, tmp_path: Path) -> Callable[..., None]:
    """Run a command that kills itself right after the `count`-th call at that moment, see killed_process.py."""

    def run(moment: str, count: int, *arguments: str, cwd: Path | None = None) -> None:
        done = fork_server.run(str(KILLER), [moment, str(count), *arguments], cwd or tmp_path)
        assert done.status == -signal.SIGKILL, done.err

    return run
