"""Records of a study's jobs, read from their folders; running jobs and half-written files are no error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.study import Job
from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS
from icpo_cli.runs.journal import START
from icpo_cli.runs.run_dir import JobDir, RunDir, Status

HELDOUT = "heldout"
TITLES = {
    HELDOUT: "held-out",
    **{name: benchmark.title for name, benchmark in BENCHMARKS.items()},
    "general": "General",
    "math": "Math",
}
"""Evaluations in the order of the tables; the groups are means of the benchmarks before them."""
LIVE_METRICS = {"reward/verif": "reward", "entropy": "entropy", "omega": "omega"}
"""Metric in the journal to field of Progress."""
SECONDS = "seconds/iteration"

Points = list[tuple[int, float]]
"""(iteration, value) by iteration; 0 is before the first."""


@dataclass(frozen=True)
class JobRecord:
    """The records in the folder of one job."""

    arm: str
    seed: int
    folder: Path
    iterations_planned: int
    status: Status
    failure: str
    """One line; empty unless the job failed."""
    run_id: str | None
    series: dict[str, Points]
    """By the name of the metric in the journal."""
    input_parity: dict[str, str]
    """Hashes of the inputs, which must be equal across the arms of a seed; empty until the run has written them."""

    @property
    def iterations(self) -> int:
        """Number of completed iterations."""
        return max((points[-1][0] for points in self.series.values()), default=0)

    def accuracy(self, bench: str) -> Points:
        """Accuracy in percent, at each evaluation."""
        return self.series.get(accuracy_metric(bench), [])


@dataclass(frozen=True)
class Progress:
    """The newest values of a running job; None before the first one."""

    iteration: int = 0
    evaluated: int | None = None
    """Iteration of the last evaluation."""
    accuracy: float | None = None
    """Held-out accuracy of that evaluation, in percent."""
    reward: float | None = None
    entropy: float | None = None
    omega: float | None = None
    seconds: float | None = None
    """Mean duration of an iteration."""


@dataclass(frozen=True)
class JobView:
    """One job as the display shows it."""

    job: Job
    status: Status
    reason: str
    """Why it failed or was lost; else empty."""
    progress: Progress

    @property
    def iterations(self) -> int:
        return self.job.config.train.iterations

    @property
    def seconds_left(self) -> float | None:
        seconds = self.progress.seconds
        return None if seconds is None else seconds * (self.iterations - self.progress.iteration)


class ProgressReader:
    """Follows the journal of a job's newest run; each call reads only the new entries."""

    def __init__(self, job: JobDir) -> None:
        self._job = job
        self._position = START
        self._progress = Progress()
        self._seconds: list[float] = []

    def read(self) -> Progress:
        run = self._job.newest_run()
        if run is None:
            return Progress()
        entries, position = run.journal.read_from(self._position)
        if position.file != self._position.file:
            self._progress, self._seconds = Progress(), []
        self._position = position
        for entry in entries:
            self._add(entry.step, entry.metrics)
        return self._progress

    def _add(self, step: int, metrics: Mapping[str, float]) -> None:
        values: dict[str, Any] = {name: metrics[key] for key, name in LIVE_METRICS.items() if key in metrics}
        if SECONDS in metrics:
            self._seconds.append(metrics[SECONDS])
            values["seconds"] = sum(self._seconds) / len(self._seconds)
        self._progress = replace(self._progress, iteration=max(step, self._progress.iteration), **values)
        if accuracy_metric(HELDOUT) in metrics:
            self._progress = replace(self._progress, evaluated=step, accuracy=metrics[accuracy_metric(HELDOUT)])


def collect(jobs: Sequence[Job]) -> list[JobRecord]:
    """The record of every job, in the order of the jobs."""
    return [_record(job) for job in jobs]


def accuracy_metric(bench: str) -> str:
    """Name of the accuracy in the journal."""
    return f"eval/{bench}/avg_at_k"


def benches_of(records: Sequence[JobRecord]) -> list[str]:
    """Evaluations that any job has, in the order of the tables."""
    return [bench for bench in TITLES if any(record.accuracy(bench) for record in records)]


def _record(job: Job) -> JobRecord:
    folder = JobDir(job.folder)
    done = folder.outcome()
    run = RunDir(job.folder / done["run_id"]) if done else folder.newest_run()
    return JobRecord(
        arm=job.arm,
        seed=job.seed,
        folder=job.folder,
        iterations_planned=job.config.train.iterations,
        status=folder.status(),
        failure=folder.failure(),
        run_id=run.id if run else None,
        series=_with_groups(_series(run)) if run else {},
        input_parity=run.input_parity() if run else {},
    )


def _series(run: RunDir) -> dict[str, Points]:
    """Metrics of the run's journal; of two values for an iteration, the last one counts."""
    values: dict[str, dict[int, float]] = {}
    for entry in run.journal.entries():
        for name, value in entry.metrics.items():
            values.setdefault(name, {})[entry.step] = value
    return {name: sorted(points.items()) for name, points in values.items()}


def _with_groups(series: Mapping[str, Points]) -> dict[str, Points]:
    """Add the means of General and Math, at the iterations where all their benchmarks were evaluated."""
    extended = dict(series)
    for group in ("general", "math"):
        members = [dict(series.get(accuracy_metric(bench), [])) for bench in GROUPS[group]]
        steps = set.intersection(*(set(points) for points in members))
        if steps:
            means = [(step, sum(points[step] for points in members) / len(members)) for step in sorted(steps)]
            extended[accuracy_metric(group)] = means
    return extended
