"""Results of a study: what its jobs recorded, the accuracy of each arm over its seeds, and differences between arms.

Only jobs that are done count. A run has two measures: its final accuracy (the last evaluation), and the mean over the
last quarter of its evaluations, which varies less between runs.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from icpo_cli.ablate.study import Arm, Job, Study
from icpo_cli.data import benchmarks
from icpo_cli.data.benchmarks import GROUPS
from icpo_cli.runs.journal import START
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JOB_STATUSES
from icpo_cli.statistics import CONFIDENCE, PairedDifference, mean_and_stderr, seed_comparison
from icpo_cli.text import known

HELDOUT = "heldout"
TITLES = {HELDOUT: "held-out", **benchmarks.TITLES}
"""Evaluations in the order of the tables; the groups are means of the benchmarks before them."""
BEFORE, FINAL, LAST_QUARTER = "before", "final", "last_quarter"
COMPARED = (FINAL, LAST_QUARTER)
"""The measures by which arms are compared."""
BETTER, WORSE, SAME = "better", "worse", "cannot be told apart"
ONE_SEED, NO_SEED = "one seed: no interval", "no seed of both is done"
PARITY_FACTS = {
    "prompts": "prompts",
    "order": "data order",
    "sampling_seeds": "sampling seeds",
    "noise_draws": "noise draws",
    "heldout": "held-out questions",
}
"""Inputs that each run hashes at its start, and their names in texts."""

Points = list[tuple[int, float]]
"""(iteration, value) by iteration; 0 is before the first."""
Key = tuple[str, str, str]
"""Arm, evaluation, measure."""


@dataclass(frozen=True)
class JobRecord:
    """The records of one job, from its folder; a running job and a half-written file are no error."""

    job: Job
    status: Status
    reason: str
    """Why it failed or was lost, in one line; else empty."""
    run_id: str | None
    iterations: int
    """Number of completed iterations."""
    metrics: Mapping[str, Mapping[int, float]]
    """{name in the journal: {iteration: value}}; of two values for an iteration, the last one counts."""
    input_parity: Mapping[str, str]
    """Hashes of the inputs, which must be equal across the arms of a seed; empty until the run has written them."""

    def points(self, metric: str) -> Points:
        return sorted(self.metrics.get(metric, {}).items())

    def accuracy(self, bench: str) -> Points:
        """Accuracy in percent, at each evaluation; for a group, the mean where all its benchmarks were evaluated."""
        members = [self.metrics.get(accuracy_metric(name), {}) for name in GROUPS.get(bench, [bench])]
        steps = set.intersection(*map(set, members))
        return [(step, sum(points[step] for points in members) / len(members)) for step in sorted(steps)]

    def newest(self, metric: str) -> float | None:
        return next((value for _, value in reversed(self.points(metric))), None)

    @property
    def seconds(self) -> float | None:
        """Mean duration of an iteration."""
        values = self.metrics.get("seconds/iteration", {}).values()
        return sum(values) / len(values) if values else None

    @property
    def seconds_left(self) -> float | None:
        return None if self.seconds is None else self.seconds * (self.job.config.train.iterations - self.iterations)


class JobReader:
    """Reads the records of a job; each call reads only the new entries of the journal."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._position = START
        self._iterations = 0
        self._metrics: dict[str, dict[int, float]] = {}

    def read(self) -> JobRecord:
        status, reason = self._job.files.status()
        run = self._job.files.newest_run()
        entries, position = run.journal.read_from(self._position) if run else ([], START)
        if position.file != self._position.file:
            self._iterations, self._metrics = 0, {}
        self._position = position
        for entry in entries:
            self._iterations = max(self._iterations, entry.step)
            for name, value in entry.metrics.items():
                self._metrics.setdefault(name, {})[entry.step] = value
        parity = run.input_parity() if run else {}
        return JobRecord(self._job, status, reason, run.id if run else None, self._iterations, self._metrics, parity)


def collect(jobs: Sequence[Job]) -> list[JobRecord]:
    """The record of every job, in the order of the jobs."""
    return [JobReader(job).read() for job in jobs]


def accuracy_metric(bench: str) -> str:
    """Name of the accuracy in the journal."""
    return f"eval/{bench}/avg_at_k"


def benches_of(records: Sequence[JobRecord]) -> list[str]:
    """Evaluations that any job has, in the order of the tables."""
    return [bench for bench in TITLES if any(record.accuracy(bench) for record in records)]


@dataclass(frozen=True)
class SeedMean:
    """Accuracy of an arm over its seeds, in percent."""

    mean: float
    """NaN without seeds."""
    stderr: float
    stderr_over: str
    """seeds; questions if there is one seed: the standard error is over these."""
    values: dict[int, float]
    """By seed."""


@dataclass(frozen=True)
class StudyResult:
    """Results of a study so far."""

    study: Study
    run_id: str
    jobs: tuple[JobRecord, ...]
    benches: tuple[str, ...]
    means: Mapping[Key, SeedMean]
    comparisons: Mapping[Key, PairedDifference]
    """Accuracy of an arm minus that of the arm it is compared with, paired by seed, in percentage points."""
    level: float
    """Confidence level of each interval; 95 % for all intervals of one measure together (Bonferroni)."""
    input_differences: Mapping[tuple[str, int], tuple[str, ...]]
    """{(arm, seed): PARITY_FACTS in which the job differs from the one it is compared with}; only jobs that do."""

    @property
    def partial(self) -> bool:
        return any(record.status is not Status.DONE for record in self.jobs)

    @property
    def against(self) -> dict[str, str]:
        """{arm: the arm it is compared with}, without the base arm."""
        return {arm.name: arm.against for arm in self.study.arms if arm.against is not None}

    def jobs_of(self, arm: Arm) -> list[JobRecord]:
        return [record for record in self.jobs if record.job.arm == arm.name]

    def document(self) -> dict[str, Any]:
        """The document that --json prints; unknown values are null."""
        differences = self.input_differences.items()
        return {
            "study": self.study.name,
            "about": self.study.about,
            "run_id": self.run_id,
            "folder": str(self.study.folder),
            "seeds": list(self.study.seeds),
            "partial": self.partial,
            "arms": [self._arm_json(arm) for arm in self.study.arms],
            "comparisons": [self._comparison_json(key, paired) for key, paired in self.comparisons.items()],
            "jobs": [_job_json(record, self.benches) for record in self.jobs],
            "input_differences": [
                {"arm": arm, "against": self.against[arm], "seed": seed, "facts": facts}
                for (arm, seed), facts in differences
            ],
        }

    def _arm_json(self, arm: Arm) -> dict[str, Any]:
        records = self.jobs_of(arm)
        statuses, reached = Counter(record.status for record in records), [record.iterations for record in records]
        return {
            "name": arm.name,
            "overrides": arm.overrides,
            "against": arm.against,
            "jobs": {status.value: statuses[status] for status in JOB_STATUSES},
            "iterations": {"fewest": min(reached), "most": max(reached), "wanted": arm.config.train.iterations},
            **{
                measure: {bench: known(asdict(self.means[arm.name, bench, measure])) for bench in self.benches}
                for measure in (BEFORE, *COMPARED)
            },
        }

    def _comparison_json(self, key: Key, paired: PairedDifference) -> dict[str, Any]:
        arm, bench, measure = key
        return {
            "arm": arm,
            "against": self.against[arm],
            "bench": bench,
            "measure": measure,
            "seeds": paired.n,
            "interval": known(paired.interval),
            "level": self.level,
            "verdict": verdict_of(paired),
            **known(paired.numbers),
        }


def result_of(study: Study, run_id: str, records: Sequence[JobRecord]) -> StudyResult:
    """Results from the records of the study's jobs."""
    benches = benches_of(records)
    means: dict[Key, SeedMean] = {}
    for arm in study.arms:
        done = [record for record in records if record.job.arm == arm.name and record.status is Status.DONE]
        for bench in benches:
            late = {record.job.seed: last_quarter(record.accuracy(bench)) for record in done}
            means[arm.name, bench, BEFORE] = _at(done, bench, 0)
            means[arm.name, bench, FINAL] = _at(done, bench, -1)
            means[arm.name, bench, LAST_QUARTER] = _mean(late, math.nan)
    compared = [(arm.name, arm.against) for arm in study.arms if arm.against is not None]
    # The number of comparisons, and so the level, does not depend on which jobs are done.
    level = 1 - (1 - CONFIDENCE) / max(len(compared) * len(benches), 1)
    comparisons = {
        (arm, bench, measure): _paired(means[arm, bench, measure], means[other, bench, measure], level)
        for measure in COMPARED
        for bench in benches
        for arm, other in compared
    }
    differences = input_differences(study, records)
    return StudyResult(study, run_id, tuple(records), tuple(benches), means, comparisons, level, differences)


def verdict_of(paired: PairedDifference) -> str:
    """Verdict from the interval; if all seeds differ by the same, there is no spread and no verdict either."""
    low, high = paired.interval
    if paired.n < 2:
        return ONE_SEED if paired.n else NO_SEED
    if low > 0:
        return BETTER
    return WORSE if high < 0 else SAME


def last_quarter(evaluations: Points) -> float:
    """Mean over the last quarter (rounded up) of the evaluations after the first iteration; NaN without one."""
    after = [value for step, value in evaluations if step > 0]
    late = after[-math.ceil(len(after) / 4) :] if after else []
    return sum(late) / len(late) if late else math.nan


def input_differences(study: Study, records: Sequence[JobRecord]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Compare the input hashes of each job with those of its `against`; jobs without hashes are skipped."""
    hashes = {(record.job.arm, record.job.seed): record.input_parity for record in records}
    different: dict[tuple[str, int], tuple[str, ...]] = {}
    for seed in study.seeds:
        for arm in study.arms:
            own, other = hashes.get((arm.name, seed)), hashes.get((arm.against or "", seed))
            if own and other:
                facts = tuple(fact for fact in PARITY_FACTS if own.get(fact) != other.get(fact))
                different |= {(arm.name, seed): facts} if facts else {}
    return different


def _at(records: Sequence[JobRecord], bench: str, index: int) -> SeedMean:
    """Accuracy at the evaluation `index`: 0 is before the first iteration, -1 is the last."""
    values, errors = {}, []
    for record in records:
        if points := record.accuracy(bench):
            step, values[record.job.seed] = points[index]
            errors.append(record.metrics.get(f"eval/{bench}/stderr", {}).get(step, math.nan))
    return _mean(values, errors[0] if errors else math.nan)


def _mean(values: Mapping[int, float], question_error: float) -> SeedMean:
    """Mean over seeds; one seed has no standard error over seeds, so `question_error` replaces it."""
    finite = {seed: value for seed, value in values.items() if not math.isnan(value)}
    mean, error = mean_and_stderr(list(finite.values()))
    if len(finite) == 1:
        return SeedMean(mean, question_error, "questions", finite)
    return SeedMean(mean, error, "seeds", finite)


def _paired(own: SeedMean, other: SeedMean, level: float) -> PairedDifference:
    both = sorted(own.values.keys() & other.values.keys())
    return seed_comparison([own.values[seed] for seed in both], [other.values[seed] for seed in both], level)


def _job_json(record: JobRecord, benches: Sequence[str]) -> dict[str, Any]:
    newest = {bench: points[-1] for bench in benches if (points := record.accuracy(bench))}
    return {
        "arm": record.job.arm,
        "seed": record.job.seed,
        "state": record.status.value,
        "iterations": record.iterations,
        "wanted": record.job.config.train.iterations,
        "run_id": record.run_id,
        "folder": str(record.job.folder),
        "failure": record.reason or None,
        "input_parity": record.input_parity,
        "newest": {bench: {"iteration": step, "accuracy": value} for bench, (step, value) in newest.items()},
    }
