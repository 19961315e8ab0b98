"""What a study found: each arm's accuracy over its seeds, and whether it differs from the arm it is compared with.

Only jobs that are done count; the others are named. Two measures of a run: its final accuracy, which is that of the
last evaluation, and the mean over the last quarter of its evaluations, which varies less from run to run.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icpo_cli.ablate.collect import JobRecord, Points, benches_of
from icpo_cli.ablate.fairness import Difference, differences
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.runs.job_dir import STATUSES
from icpo_cli.runs.run_dir import Status
from icpo_cli.statistics import CONFIDENCE, PairedDifference, mean_and_stderr, seed_comparison

FINAL, LAST_QUARTER = "final", "last_quarter"
BETTER, WORSE, SAME = "better", "worse", "cannot be told apart"
ONE_SEED, NO_SEED = "one seed: no interval", "no seed of both is done"


@dataclass(frozen=True)
class Mean:
    """Accuracy of an arm over its seeds, in percent."""

    mean: float
    """NaN without seeds."""
    stderr: float
    over: str
    """What the standard error is over: seeds, or questions where there is one seed."""
    values: dict[int, float]
    """By seed."""


@dataclass(frozen=True)
class ArmOutcome:
    """One arm, over its jobs that are done."""

    name: str
    overrides: dict[str, Any]
    against: str | None
    states: dict[Status, int]
    """How many of its jobs are in each."""
    iterations: tuple[int, int]
    """The fewest and most that any of its jobs has done."""
    wanted: int
    before: dict[str, Mean]
    """Before the first iteration, by what accuracy is measured on."""
    final: dict[str, Mean]
    last_quarter: dict[str, Mean]

    @property
    def jobs(self) -> int:
        return sum(self.states.values())

    def measure(self, name: str) -> dict[str, Mean]:
        return {FINAL: self.final, LAST_QUARTER: self.last_quarter}[name]


@dataclass(frozen=True)
class Comparison:
    """An arm less another, paired by seed, in percentage points."""

    arm: str
    against: str
    bench: str
    measure: str
    level: float
    """Of the interval, so that all comparisons of this measure hold at once with 95 %."""
    paired: PairedDifference
    verdict: str


@dataclass(frozen=True)
class Outcome:
    """What a study found so far."""

    study: str
    about: str
    run_id: str
    folder: Path
    seeds: tuple[int, ...]
    benches: tuple[str, ...]
    arms: tuple[ArmOutcome, ...]
    comparisons: tuple[Comparison, ...]
    jobs: tuple[JobRecord, ...]
    unfair: tuple[Difference, ...]
    """What ought to be equal across the arms of a seed and is not."""

    @property
    def partial(self) -> bool:
        return any(job.state is not Status.DONE for job in self.jobs)

    def comparison(self, arm: str, bench: str, measure: str) -> Comparison | None:
        """None for the base arm."""
        wanted = (arm, bench, measure)
        return next((each for each in self.comparisons if (each.arm, each.bench, each.measure) == wanted), None)

    def document(self) -> dict[str, Any]:
        """What --json prints. Values that are not known are null."""
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
            "unfair": [asdict(difference) for difference in self.unfair],
        }


def outcome_of(study: Study, run_id: str, records: Sequence[JobRecord]) -> Outcome:
    """Of all that the study's jobs have left so far."""
    benches = benches_of(records)
    arms = [_arm(arm, [record for record in records if record.arm == arm.name], benches) for arm in study.arms]
    return Outcome(
        study=study.name,
        about=study.about,
        run_id=run_id,
        folder=study.folder,
        seeds=study.seeds,
        benches=tuple(benches),
        arms=tuple(arms),
        comparisons=tuple(_comparisons(arms, benches)),
        jobs=tuple(records),
        unfair=tuple(differences(study, records)),
    )


def last_quarter(evaluations: Points) -> float:
    """Mean over the last quarter (rounded up) of the evaluations after the first iteration; NaN without one."""
    after = [value for step, value in evaluations if step > 0]
    late = after[-math.ceil(len(after) / 4) :] if after else []
    return sum(late) / len(late) if late else math.nan


def _arm(arm: Arm, records: Sequence[JobRecord], benches: Sequence[str]) -> ArmOutcome:
    done = [record for record in records if record.state is Status.DONE]
    reached = [record.iterations for record in records]
    return ArmOutcome(
        name=arm.name,
        overrides=arm.overrides,
        against=arm.against,
        states=dict(Counter(record.state for record in records)),
        iterations=(min(reached), max(reached)),
        wanted=arm.config.train.iterations,
        before={bench: _at(done, bench, 0) for bench in benches},
        final={bench: _at(done, bench, -1) for bench in benches},
        last_quarter={
            bench: _mean({record.seed: last_quarter(record.accuracy(bench)) for record in done}, math.nan)
            for bench in benches
        },
    )


def _at(records: Sequence[JobRecord], bench: str, place: int) -> Mean:
    """At one of the evaluations: 0 is the first, which is before the first iteration, -1 the last."""
    values, errors = {}, []
    for record in records:
        points = record.accuracy(bench)
        if points:
            step, values[record.seed] = points[place]
            errors.append(dict(record.series.get(f"eval/{bench}/stderr", [])).get(step, math.nan))
    return _mean(values, errors[0] if errors else math.nan)


def _mean(values: Mapping[int, float], question_error: float) -> Mean:
    """One seed has no error over seeds: that over its questions stands in, and says so."""
    known = {seed: value for seed, value in values.items() if not math.isnan(value)}
    mean, error = mean_and_stderr(list(known.values()))
    if len(known) == 1:
        return Mean(mean, question_error, "questions", known)
    return Mean(mean, error, "seeds", known)


def _comparisons(arms: Sequence[ArmOutcome], benches: Sequence[str]) -> list[Comparison]:
    """Every arm with the one it is `against`. Their number is the plan's, however many can be made already."""
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


def _comparison(arm: ArmOutcome, other: ArmOutcome, bench: str, measure: str, level: float) -> Comparison:
    mine, others = arm.measure(measure)[bench].values, other.measure(measure)[bench].values
    both = sorted(mine.keys() & others.keys())
    paired = seed_comparison([mine[seed] for seed in both], [others[seed] for seed in both], level)
    return Comparison(arm.name, other.name, bench, measure, level, paired, _verdict(paired))


def _verdict(paired: PairedDifference) -> str:
    """Seeds that all differ by the same have no interval, and tell nothing apart either."""
    low, high = paired.interval
    if paired.n < 2:
        return ONE_SEED if paired.n else NO_SEED
    if low > 0:
        return BETTER
    return WORSE if high < 0 else SAME


def _arm_json(arm: ArmOutcome) -> dict[str, Any]:
    return {
        "name": arm.name,
        "overrides": arm.overrides,
        "against": arm.against,
        "jobs": {state.value: arm.states.get(state, 0) for state in STATUSES},
        "iterations": {"fewest": arm.iterations[0], "most": arm.iterations[1], "wanted": arm.wanted},
        "before": {bench: _mean_json(mean) for bench, mean in arm.before.items()},
        FINAL: {bench: _mean_json(mean) for bench, mean in arm.final.items()},
        LAST_QUARTER: {bench: _mean_json(mean) for bench, mean in arm.last_quarter.items()},
    }


def _mean_json(mean: Mean) -> dict[str, Any]:
    return {
        "mean": _known(mean.mean),
        "stderr": _known(mean.stderr),
        "stderr_over": mean.over,
        "values": {str(seed): value for seed, value in sorted(mean.values.items())},
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
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
        "smallest_detectable": _known(paired.minimum_detectable_effect),
        "verdict": comparison.verdict,
    }


def _job_json(job: JobRecord, benches: Sequence[str]) -> dict[str, Any]:
    newest = {bench: points[-1] for bench in benches if (points := job.accuracy(bench))}
    return {
        "arm": job.arm,
        "seed": job.seed,
        "state": job.state.value,
        "iterations": job.iterations,
        "wanted": job.wanted,
        "run_id": job.run_id,
        "folder": str(job.folder),
        "failure": job.failure or None,
        "fairness": job.fairness,
        "newest": {bench: {"iteration": step, "accuracy": value} for bench, (step, value) in newest.items()},
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
