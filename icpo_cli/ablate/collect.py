"""What the jobs of a study have left so far, read from their folders. Running and half-written ones are no error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.ablate.study import Job
from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS
from icpo_cli.runs.job_dir import JobDir
from icpo_cli.runs.run_dir import RunDir, Status

HELDOUT = "heldout"
TITLES = {
    HELDOUT: "held-out",
    **{name: benchmark.title for name, benchmark in BENCHMARKS.items()},
    "general": "General",
    "math": "Math",
}
"""Of what accuracy is measured on, in the order of the tables: groups are means of the benchmarks before them."""

Points = list[tuple[int, float]]
"""(iteration, value), iterations rising; 0 is before the first."""


@dataclass(frozen=True)
class JobRecord:
    """One job, as its folder shows it."""

    arm: str
    seed: int
    folder: Path
    wanted: int
    """Iterations."""
    state: Status
    failure: str
    """One line; empty unless it failed."""
    run_id: str | None
    series: dict[str, Points]
    """By the name of the metric in the journal."""
    fairness: dict[str, str]
    """Hashes of what has to be equal across the arms of a seed; empty until the run has written them."""

    @property
    def iterations(self) -> int:
        """Done so far."""
        return max((points[-1][0] for points in self.series.values()), default=0)

    def accuracy(self, bench: str) -> Points:
        """Percent, at each evaluation."""
        return self.series.get(accuracy_metric(bench), [])


def collect(jobs: Sequence[Job]) -> list[JobRecord]:
    """Every job's record, in the order of the jobs."""
    return [_record(job) for job in jobs]


def accuracy_metric(bench: str) -> str:
    """Its name in the journal."""
    return f"eval/{bench}/avg_at_k"


def benches_of(records: Sequence[JobRecord]) -> list[str]:
    """What any of the jobs was evaluated on, in the order of the tables."""
    return [bench for bench in TITLES if any(record.accuracy(bench) for record in records)]


def _record(job: Job) -> JobRecord:
    folder = JobDir(job.folder)
    done = folder.outcome()
    run = RunDir(job.folder / done["run_id"]) if done else folder.newest_run()
    return JobRecord(
        arm=job.arm,
        seed=job.seed,
        folder=job.folder,
        wanted=job.config.train.iterations,
        state=folder.status(),
        failure=folder.failure(),
        run_id=run.id if run else None,
        series=_with_groups(_series(run)) if run else {},
        fairness=run.input_parity() if run else {},
    )


def _series(run: RunDir) -> dict[str, Points]:
    """From the run's journal; of two values that were logged for an iteration the last one counts."""
    held: dict[str, dict[int, float]] = {}
    for entry in run.journal.entries():
        for name, value in entry.metrics.items():
            held.setdefault(name, {})[entry.step] = value
    return {name: sorted(points.items()) for name, points in held.items()}


def _with_groups(series: Mapping[str, Points]) -> dict[str, Points]:
    """And the means of General and Math, where all their benchmarks were evaluated."""
    found = dict(series)
    for group in ("general", "math"):
        members = [dict(series.get(accuracy_metric(bench), [])) for bench in GROUPS[group]]
        steps = set.intersection(*(set(points) for points in members))
        if steps:
            means = [(step, sum(points[step] for points in members) / len(members)) for step in sorted(steps)]
            found[accuracy_metric(group)] = means
    return found
