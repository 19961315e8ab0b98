"""Results of a study: the accuracy of each arm over its seeds, and its difference to the arm it is compared with.

Only jobs that are done count. A run has two measures: its final accuracy (the last evaluation), and the mean over the
last quarter of its evaluations, which varies less between runs.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icpo_cli.ablate.collect import JobRecord, Points, benches_of
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.runs.run_dir import JOB_STATUSES, Status
from icpo_cli.statistics import CONFIDENCE, PairedDifference, mean_and_stderr, seed_comparison

FINAL, LAST_QUARTER = "final", "last_quarter"
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


@dataclass(frozen=True)
class SeedMean:
    """Accuracy of an arm over its seeds, in percent."""

    mean: float
    """NaN without seeds."""
    stderr: float
    over: str
    """seeds; questions if there is one seed: the standard error is over these."""
    values: dict[int, float]
    """By seed."""


@dataclass(frozen=True)
class ArmResult:
    """Results of one arm, over its jobs that are done."""

    name: str
    overrides: dict[str, Any]
    against: str | None
    statuses: dict[Status, int]
    """Number of its jobs by status."""
    iterations: tuple[int, int]
    """The fewest and the most completed iterations among its jobs."""
    iterations_planned: int
    before: dict[str, SeedMean]
    """Before the first iteration, by evaluation."""
    final: dict[str, SeedMean]
    last_quarter: dict[str, SeedMean]

    @property
    def jobs(self) -> int:
        return sum(self.statuses.values())

    def measure(self, name: str) -> dict[str, SeedMean]:
        return {FINAL: self.final, LAST_QUARTER: self.last_quarter}[name]


@dataclass(frozen=True)
class ArmComparison:
    """Difference between an arm and another, paired by seed, in percentage points."""

    arm: str
    against: str
    bench: str
    measure: str
    level: float
    """Confidence level of the interval; 95 % for all intervals of this measure together (Bonferroni)."""
    paired: PairedDifference
    verdict: str


@dataclass(frozen=True)
class InputDifference:
    """Inputs of a job that are not equal to those of the job it is compared with."""

    arm: str
    against: str
    seed: int
    facts: tuple[str, ...]
    """Keys of PARITY_FACTS."""


@dataclass(frozen=True)
class StudyResult:
    """Results of a study so far."""

    study: str
    about: str
    run_id: str
    folder: Path
    seeds: tuple[int, ...]
    benches: tuple[str, ...]
    arms: tuple[ArmResult, ...]
    comparisons: tuple[ArmComparison, ...]
    jobs: tuple[JobRecord, ...]
    input_differences: tuple[InputDifference, ...]

    @property
    def partial(self) -> bool:
        return any(job.status is not Status.DONE for job in self.jobs)

    def comparison(self, arm: str, bench: str, measure: str) -> ArmComparison | None:
        """None for the base arm."""
        key = (arm, bench, measure)
        return next((one for one in self.comparisons if (one.arm, one.bench, one.measure) == key), None)

    def document(self) -> dict[str, Any]:
        """The document that --json prints; unknown values are null."""
        return {
            "study": self.study,
            "about": self.about,
            "run_id": self.run_id,
            "folder": str(self.folder),
            "seeds": list(self.seeds),
            "partial": self.partial,
            "arms": [_arm_json(arm) for arm in self.arms],
            "comparisons": [_comparison_json(comparison) for comparison in self.comparisons],
            "jobs": [_job_json(job, self.benches) for job in self.jobs],
            "input_differences": [asdict(difference) for difference in self.input_differences],
        }


def result_of(study: Study, run_id: str, records: Sequence[JobRecord]) -> StudyResult:
    """Results from the records of the study's jobs."""
    benches = benches_of(records)
    arms = [_arm(arm, [record for record in records if record.arm == arm.name], benches) for arm in study.arms]
    return StudyResult(
        study=study.name,
        about=study.about,
        run_id=run_id,
        folder=study.folder,
        seeds=study.seeds,
        benches=tuple(benches),
        arms=tuple(arms),
        comparisons=tuple(_comparisons(arms, benches)),
        jobs=tuple(records),
        input_differences=tuple(input_differences(study, records)),
    )


def last_quarter(evaluations: Points) -> float:
    """SeedMean over the last quarter (rounded up) of the evaluations after the first iteration; NaN without one."""
    after = [value for step, value in evaluations if step > 0]
    late = after[-math.ceil(len(after) / 4) :] if after else []
    return sum(late) / len(late) if late else math.nan


def input_differences(study: Study, records: Sequence[JobRecord]) -> list[InputDifference]:
    """Compare the input hashes of each job with those of its `against`; jobs without hashes are skipped."""
    hashes = {(record.arm, record.seed): record.input_parity for record in records}
    different = []
    for seed in study.seeds:
        for arm in study.arms:
            own, other = hashes.get((arm.name, seed)), hashes.get((arm.against or "", seed))
            if own and other and arm.against is not None:
                facts = tuple(fact for fact in PARITY_FACTS if own.get(fact) != other.get(fact))
                if facts:
                    different.append(InputDifference(arm.name, arm.against, seed, facts))
    return different


def _arm(arm: Arm, records: Sequence[JobRecord], benches: Sequence[str]) -> ArmResult:
    done = [record for record in records if record.status is Status.DONE]
    reached = [record.iterations for record in records]
    return ArmResult(
        name=arm.name,
        overrides=arm.overrides,
        against=arm.against,
        statuses=dict(Counter(record.status for record in records)),
        iterations=(min(reached), max(reached)),
        iterations_planned=arm.config.train.iterations,
        before={bench: _at(done, bench, 0) for bench in benches},
        final={bench: _at(done, bench, -1) for bench in benches},
        last_quarter={
            bench: _mean({record.seed: last_quarter(record.accuracy(bench)) for record in done}, math.nan)
            for bench in benches
        },
    )


def _at(records: Sequence[JobRecord], bench: str, index: int) -> SeedMean:
    """Accuracy at the evaluation `index`: 0 is before the first iteration, -1 is the last."""
    values, errors = {}, []
    for record in records:
        points = record.accuracy(bench)
        if points:
            step, values[record.seed] = points[index]
            errors.append(dict(record.series.get(f"eval/{bench}/stderr", [])).get(step, math.nan))
    return _mean(values, errors[0] if errors else math.nan)


def _mean(values: Mapping[int, float], question_error: float) -> SeedMean:
    """Mean over seeds; one seed has no standard error over seeds, so `question_error` replaces it."""
    known = {seed: value for seed, value in values.items() if not math.isnan(value)}
    mean, error = mean_and_stderr(list(known.values()))
    if len(known) == 1:
        return SeedMean(mean, question_error, "questions", known)
    return SeedMean(mean, error, "seeds", known)


def _comparisons(arms: Sequence[ArmResult], benches: Sequence[str]) -> list[ArmComparison]:
    """Compare every arm with its `against`. Their number, and so the level, does not depend on which jobs are done."""
    compared = [arm for arm in arms if arm.against is not None]
    by_name = {arm.name: arm for arm in arms}
    level = 1 - (1 - CONFIDENCE) / max(len(compared) * len(benches), 1)
    return [
        _comparison(arm, by_name[arm.against], bench, measure, level)
        for measure in (FINAL, LAST_QUARTER)
        for bench in benches
        for arm in compared
        if arm.against is not None
    ]


def _comparison(arm: ArmResult, other: ArmResult, bench: str, measure: str, level: float) -> ArmComparison:
    own, others = arm.measure(measure)[bench].values, other.measure(measure)[bench].values
    both = sorted(own.keys() & others.keys())
    paired = seed_comparison([own[seed] for seed in both], [others[seed] for seed in both], level)
    return ArmComparison(arm.name, other.name, bench, measure, level, paired, _verdict(paired))


def _verdict(paired: PairedDifference) -> str:
    """Verdict from the interval; if all seeds differ by the same, there is no spread and no verdict either."""
    low, high = paired.interval
    if paired.n < 2:
        return ONE_SEED if paired.n else NO_SEED
    if low > 0:
        return BETTER
    return WORSE if high < 0 else SAME


def _arm_json(arm: ArmResult) -> dict[str, Any]:
    return {
        "name": arm.name,
        "overrides": arm.overrides,
        "against": arm.against,
        "jobs": {status.value: arm.statuses.get(status, 0) for status in JOB_STATUSES},
        "iterations": {"fewest": arm.iterations[0], "most": arm.iterations[1], "wanted": arm.iterations_planned},
        "before": {bench: _mean_json(mean) for bench, mean in arm.before.items()},
        FINAL: {bench: _mean_json(mean) for bench, mean in arm.final.items()},
        LAST_QUARTER: {bench: _mean_json(mean) for bench, mean in arm.last_quarter.items()},
    }


def _mean_json(mean: SeedMean) -> dict[str, Any]:
    return {
        "mean": _known(mean.mean),
        "stderr": _known(mean.stderr),
        "stderr_over": mean.over,
        "values": {str(seed): value for seed, value in sorted(mean.values.items())},
    }


def _comparison_json(comparison: ArmComparison) -> dict[str, Any]:
    paired = comparison.paired
    return {
        "arm": comparison.arm,
        "against": comparison.against,
        "bench": comparison.bench,
        "measure": comparison.measure,
        "seeds": paired.n,
        "difference": _known(paired.difference),
        "stderr": _known(paired.stderr),
        "interval": [_known(bound) for bound in paired.interval],
        "level": comparison.level,
        "p_value": _known(paired.p_value),
        "minimum_detectable_effect": _known(paired.minimum_detectable_effect),
        "verdict": comparison.verdict,
    }


def _job_json(job: JobRecord, benches: Sequence[str]) -> dict[str, Any]:
    newest = {bench: points[-1] for bench in benches if (points := job.accuracy(bench))}
    return {
        "arm": job.arm,
        "seed": job.seed,
        "state": job.status.value,
        "iterations": job.iterations,
        "wanted": job.iterations_planned,
        "run_id": job.run_id,
        "folder": str(job.folder),
        "failure": job.failure or None,
        "input_parity": job.input_parity,
        "newest": {bench: {"iteration": step, "accuracy": value} for bench, (step, value) in newest.items()},
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
