"""What a study will do, before any of it is started: arms, what tells them apart, omega, time and memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.estimate import NOT_KNOWN, Estimate, estimate, past_runs
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.config.check import check
from icpo_cli.config.load import diff
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.models.locate import architecture_of
from icpo_cli.models.sizes import check_lengths, memory_gib
from icpo_cli.objective.omega import omega_at

SHOWN_AT = (0.0, 0.1, 0.2, 0.5, 1.0)
"""Of a run's iterations, where omega is printed."""


@dataclass(frozen=True)
class Machine:
    """What each run will have."""

    ranks: int
    cores: int | None
    """Of this machine; None where it has GPUs, or runs elsewhere."""
    at_once: int | None
    """Runs at a time here; None where that is another's to decide."""


@dataclass(frozen=True)
class PlannedArm:
    """One arm: what one run of it will do."""

    arm: Arm
    differs: dict[str, tuple[Any, Any]]
    """Dotted key: the base arm's value and this one's."""
    omega: dict[int, float]
    """By iteration; empty for a method without the bonus."""
    memory_gib: float | None
    """Of a rank, key-value cache apart; None where the model's sizes are not known yet."""
    estimate: Estimate

    @property
    def iterations(self) -> int:
        return self.arm.config.train.iterations


@dataclass(frozen=True)
class PlannedProbe:
    """The run that selects a study's data."""

    run: str | None
    """One that was made before."""
    selected: dict[str, int] | None
    """What that one's verdicts say: its prompts by reason, all_right and all_wrong are those of the data."""
    iterations: int | None
    """None where its data set would have to be fetched to be counted."""
    estimate: Estimate


@dataclass(frozen=True)
class Plan:
    study: Study
    machine: Machine
    arms: tuple[PlannedArm, ...]
    probe: PlannedProbe | None

    @property
    def runs(self) -> int:
        return len(self.arms) * len(self.study.seeds)

    @property
    def seconds(self) -> float | None:
        """Of the probe and then all runs, one after another; None where one is not known."""
        return self._seconds(1)

    @property
    def seconds_at_once(self) -> float | None:
        """Of the probe and then all runs, as many at a time as there will be."""
        return self._seconds(min(self.machine.at_once or 1, self.runs))

    def _seconds(self, at_once: int) -> float | None:
        each = [arm.estimate.seconds for arm in self.arms]
        probe = 0.0 if self.probe is None or self.probe.run is not None else self.probe.estimate.seconds
        if probe is None or None in each:
            return None
        return probe + len(self.study.seeds) * sum(seconds for seconds in each if seconds is not None) / at_once

    def document(self) -> dict[str, Any]:
        """What --json prints."""
        document: dict[str, Any] = {
            "study": self.study.name,
            "about": self.study.about,
            "seeds": list(self.study.seeds),
            "arms": [_arm_json(arm) for arm in self.arms],
            "runs": self.runs,
            "seconds_estimate": _rounded(self.seconds),
            "folder": str(self.study.folder),
        }
        if self.probe is not None:
            document["probe"] = {
                "run": self.probe.run,
                "selected": self.probe.selected,
                "iterations": self.probe.iterations,
                "seconds_estimate": _rounded(self.probe.estimate.seconds),
            }
        return document


def check_study(study: Study, ranks: int) -> None:
    """Everything that can be known to be wrong before a run of `ranks` processes starts. Raises UserError."""
    configs = {f"arm {arm.name}": arm.config for arm in study.arms}
    if study.probe is not None:
        configs["probe"] = study.probe.config
    for name, config in configs.items():
        try:
            check(config, ranks)
            architecture = architecture_of(config.model)
            if architecture is not None:
                check_lengths(config, architecture.max_position_embeddings)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None


def plan(study: Study, machine: Machine, selected: dict[str, int] | None = None) -> Plan:
    """`selected`: the prompts of the run of --probe, by reason. Nothing is started and nothing fetched."""
    base = study.arms[0].config
    past = past_runs(Path(base.train.output_dir), study.folder.parent)

    def estimated(config: Config) -> Estimate:
        # Coarse data is of the same kind as what it is selected from, which past runs may have been made on.
        probed = config if study.probe is None else replace(config, data=study.probe.config.data)
        return estimate(probed, past, machine.cores)

    probe = None
    if study.probe is not None:
        config, counted = study.probe.config, study.probe.counted
        iterations, seconds = (config.train.iterations, estimated(config)) if counted else (None, NOT_KNOWN)
        probe = PlannedProbe(study.probe_run, selected, iterations, seconds)
    arms = tuple(_arm(arm, base, machine.ranks, estimated(arm.config)) for arm in study.arms)
    return Plan(study, machine, arms, probe)


def omega_curve(config: Config, points: Sequence[int]) -> dict[int, float]:
    """Omega at iterations; empty for a method without the bonus."""
    if config.method.bonus == "none":
        return {}
    return {point: omega_at(point, config.method, config.train.iterations) for point in points}


def _arm(arm: Arm, base: Config, ranks: int, estimated: Estimate) -> PlannedArm:
    architecture = architecture_of(arm.config.model)
    iterations = arm.config.train.iterations
    return PlannedArm(
        arm=arm,
        differs={key: values for key, values in diff(base, arm.config).items() if key not in ("name", "seed")},
        omega=omega_curve(arm.config, [round(share * iterations) for share in SHOWN_AT]),
        memory_gib=sum(memory_gib(arm.config, architecture, ranks).values()) if architecture else None,
        estimate=estimated,
    )


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
