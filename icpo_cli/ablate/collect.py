"""What the jobs of a study have left so far, read from their folders. Running and half-written ones are no error."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from icpo_cli.ablate.job import CONFIG, FAILURE, OUTCOME
from icpo_cli.ablate.study import Job
from icpo_cli.data.benchmarks.registry import BENCHMARKS, GROUPS
from icpo_cli.track.journal import Journal

JOURNAL, FAIRNESS = "journal.jsonl", "fairness.json"
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


class State(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    """It has no run yet."""
    UNFINISHED = "unfinished"
    """It runs, or was interrupted."""
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class JobRecord:
    """One job, as its folder shows it."""

    arm: str
    seed: int
    folder: Path
    wanted: int
    """Iterations."""
    state: State
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
    done, failure = _json(job.folder / OUTCOME), _text(job.folder / FAILURE)
    run = job.folder / done["run_id"] if done else _newest_run(job.folder)
    if done:
        state = State.DONE
    elif failure is not None:
        state = State.FAILED
    else:
        state = State.UNFINISHED if run else State.WAITING
    return JobRecord(
        arm=job.arm,
        seed=job.seed,
        folder=job.folder,
        wanted=job.config.train.iterations,
        state=state,
        failure=" ".join((failure or "").split()) if state is State.FAILED else "",
        run_id=run.name if run else None,
        series=_with_groups(_series(run)) if run else {},
        fairness=_json(run / FAIRNESS) if run else {},
    )


def _newest_run(folder: Path) -> Path | None:
    """The run that was begun or gone on with last. It may be running: nothing but its journal is looked at."""
    runs = [path.parent for path in folder.glob(f"*/{CONFIG}")]
    return max(runs, key=lambda run: _changed(run / JOURNAL), default=None)


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _series(run: Path) -> dict[str, Points]:
    """From the run's journal; what was logged twice for an iteration counts as it was logged last."""
    held: dict[str, dict[int, float]] = {}
    for entry in Journal(run / JOURNAL).entries():
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


def _json(path: Path) -> dict:
    """Empty where there is no such file, or a half-written one."""
    try:
        return dict(json.loads(_text(path) or "{}"))
    except json.JSONDecodeError:
        return {}


def _text(path: Path) -> str | None:
    """None where there is no such file, or none any more: a job that starts anew takes its failure back."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
