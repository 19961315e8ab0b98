"""What a study asks of a launcher, and the states of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.run_dir import Status


@dataclass(frozen=True)
class Standing:
    """Where a job stands, and why, where that needs saying."""

    state: Status
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
    job = JobDir(folder)
    status = job.status()
    return Standing(status, job.failure()) if status.ended else None
