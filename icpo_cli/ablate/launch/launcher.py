"""The interface of launchers, and the status of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from icpo_cli.runs.run_dir import JobDir, Status


@dataclass(frozen=True)
class JobStatus:
    """Status of a job, with the reason if it failed or was lost."""

    status: Status
    reason: str = ""


class Launcher(Protocol):
    """Runs jobs, each a folder for icpo_cli.ablate.job. No local process is left when the context ends."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, folders: Sequence[Path]) -> None:
        """Accept jobs, in this order; the caller leaves out jobs that are done. Raises RunFailed."""

    def poll(self) -> Mapping[Path, JobStatus]:
        """Start as many jobs as there are free resources for, and return the status of every job."""

    @property
    def finished(self) -> bool:
        """Whether this process has nothing left to wait for."""

    def stop(self, number: int) -> str:
        """After signal `number`: start no more jobs, and stop or leave the running ones; a message for the user."""


def ended_status(folder: Path) -> JobStatus | None:
    """DONE or FAILED, from the files of the job; None if it has not ended."""
    job = JobDir(folder)
    status = job.status()
    return JobStatus(status, job.failure()) if status.ended else None
