"""The plan of a study before anything starts: arms, their differences, omega, time and memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.study import Arm, Study
from icpo_cli.config.load import diff
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.models.locate import architecture_of
from icpo_cli.models.memory import memory_gib, peak_gib
from icpo_cli.models.sizes import check_lengths
from icpo_cli.objective.omega import omega_at
from icpo_cli.train.check import check
from icpo_cli.train.plan import NOT_KNOWN, Estimate, estimate, past_runs

SHOWN_AT = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Fractions of a run's iterations at which omega is printed."""


@dataclass(frozen=True)
class PlannedArm:
    """The plan of one run of an arm."""

    arm: Arm
    differs: dict[str, tuple[Any, Any]]
    """Dotted key to (value in the base arm, value in this arm)."""
    omega: dict[int, float]
    """By iteration; empty for a method without the bonus."""
    memory_gib: float | None
    """Per rank; None while the sizes of the model are unknown."""
    estimate: Estimate

    @property
    def iterations(self) -> int:
        return self.arm.config.train.iterations


@dataclass(frozen=True)
class StudyPlan:
    """The plan of all runs of a study, and of its probe."""

    study: Study
    ranks: int
    """Processes of each run."""
    at_once: int | None
    """Runs at the same time; None if SLURM decides."""
    arms: tuple[PlannedArm, ...]
    selected: dict[str, int] | None
    """Prompts of the earlier run that replaces the probe, by reason; all_right and all_wrong are the coarse data."""
    probe_estimate: Estimate | None
    """None for a study without probe."""

    @property
    def runs(self) -> int:
        return len(self.arms) * len(self.study.seeds)

    @property
    def probe_iterations(self) -> int | None:
        """None if the probe's data set is not downloaded, or there is no probe."""
        probe = self.study.probe
        return probe.train.iterations if probe is not None and self.study.probe_counted else None

    @property
    def seconds(self) -> float | None:
        """Duration of the probe and then all runs, one after another; None if one is unknown."""
        return self._seconds(1)

    @property
    def seconds_at_once(self) -> float | None:
        """Duration of the probe and then all runs, as many at the same time as the plan says."""
        return self._seconds(min(self.at_once or 1, self.runs))

    def _seconds(self, at_once: int) -> float | None:
        each = [arm.estimate.seconds for arm in self.arms]
        probe = self.probe_estimate
        probe_seconds = 0.0 if probe is None or self.study.probe_run is not None else probe.seconds
        if probe_seconds is None or None in each:
            return None
        return probe_seconds + len(self.study.seeds) * sum(seconds for seconds in each if seconds is not None) / at_once

    def document(self) -> dict[str, Any]:
        """The document that --json prints."""
        document: dict[str, Any] = {
            "study": self.study.name,
            "about": self.study.about,
            "seeds": list(self.study.seeds),
            "arms": [_arm_json(arm) for arm in self.arms],
            "runs": self.runs,
            "seconds_estimate": _rounded(self.seconds),
            "folder": str(self.study.folder),
        }
        if self.probe_estimate is not None:
            document["probe"] = {
                "run": self.study.probe_run,
                "selected": self.selected,
                "iterations": self.probe_iterations,
                "seconds_estimate": _rounded(self.probe_estimate.seconds),
            }
        return document


def check_study(study: Study, ranks: int) -> None:
    """Check all configurations for runs of `ranks` processes. Raises UserError."""
    configs = {f"arm {arm.name}": arm.config for arm in study.arms}
    if study.probe is not None:
        configs["probe"] = study.probe
    for name, config in configs.items():
        try:
            check(config, ranks)
            architecture = architecture_of(config.model)
            if architecture is not None:
                check_lengths(config, architecture.max_position_embeddings)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None


def plan(
    study: Study, ranks: int, cores: int | None, at_once: int | None, selected: dict[str, int] | None = None
) -> StudyPlan:
    """Plan a study; nothing is started and nothing downloaded.

    `cores`: CPU cores of each run on this machine; None if it has GPUs or is on another machine. `selected`: prompts of
    the --probe run, by reason.
    """
    base = study.arms[0].config
    past = past_runs(Path(base.train.output_dir))

    def estimated(config: Config) -> Estimate:
        # Coarse data has the same sizes as the data it is selected from, which past runs may have trained on.
        probed = config if study.probe is None else replace(config, data=study.probe.data)
        return estimate(probed, past, cores)

    arms = tuple(_arm(arm, base, ranks, cores, estimated(arm.config)) for arm in study.arms)
    probe = None
    if study.probe is not None:
        probe = estimated(study.probe) if study.probe_counted else NOT_KNOWN
    return StudyPlan(study, ranks, at_once, arms, selected, probe)


def omega_curve(config: Config, points: Sequence[int]) -> dict[int, float]:
    """Omega by iteration, at `points`; empty for a method without the bonus."""
    if config.method.bonus == "none":
        return {}
    return {point: omega_at(point, config.method, config.train.iterations) for point in points}


def _arm(arm: Arm, base: Config, ranks: int, cores: int | None, estimated: Estimate) -> PlannedArm:
    iterations = arm.config.train.iterations
    return PlannedArm(
        arm=arm,
        differs={key: values for key, values in diff(base, arm.config).items() if key not in ("name", "seed")},
        omega=omega_curve(arm.config, [round(share * iterations) for share in SHOWN_AT]),
        memory_gib=_memory_gib(arm.config, ranks, cores),
        estimate=estimated,
    )


def _memory_gib(config: Config, ranks: int, cores: int | None) -> float | None:
    architecture = architecture_of(config.model)
    if architecture is None:
        return None
    cuda = config.train.device == "cuda" or (config.train.device == "auto" and cores is None)
    return peak_gib(memory_gib(config, architecture, ranks, cuda), cuda)


def _arm_json(planned: PlannedArm) -> dict[str, Any]:
    return {
        "name": planned.arm.name,
        "overrides": planned.arm.overrides,
        "against": planned.arm.against,
        "differs": {key: list(values) for key, values in planned.differs.items()},
        "omega": {str(iteration): value for iteration, value in planned.omega.items()},
        "iterations": planned.iterations,
        "seconds_estimate": _rounded(planned.estimate.seconds),
        "seconds_basis": planned.estimate.basis,
        "memory_gib": None if planned.memory_gib is None else round(planned.memory_gib, 2),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
