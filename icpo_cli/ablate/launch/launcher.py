"""What a study asks of a launcher, and the states of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from icpo_cli.ablate.job import FAILURE, OUTCOME


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Asked to stop, and saved: starting it again goes on with it."""

    @property
    def ended(self) -> bool:
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class Standing:
    """Where a job stands, and why, where that needs saying."""

    state: State
    why: str = ""


class Launcher(Protocol):
    """Runs jobs, each a folder that icpo_cli.ablate.job understands. Leaving the context leaves no process here."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, folders: Sequence[Path]) -> None:
        """Take these jobs, in this order. Those that are done are left out by the caller. Raises RunFailed."""

    def poll(self) -> Mapping[Path, Standing]:
        """Start what there is room for; where each job stands now."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left that this process should wait for."""

    def stop(self, number: int) -> str:
        """Start no more, and end or leave what runs after signal `number`; what became of it, for the user."""


def standing_on_disk(folder: Path) -> Standing | None:
    """Done or failed, as the job's own files say; None where they say neither."""
    if (folder / OUTCOME).is_file():
        return Standing(State.DONE)
    if (folder / FAILURE).is_file():
        return Standing(State.FAILED, (folder / FAILURE).read_text(encoding="utf-8").strip())
    return None
