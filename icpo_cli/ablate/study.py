"""A study, its arms and its jobs, with resolved configurations: what is planned, launched and compared."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.load import Layer
from icpo_cli.config.schema import Config
from icpo_cli.runs.study_dir import JobDir, StudyDir

PROBE = "probe"
"""Name of the probe's job among those of arms."""


@dataclass(frozen=True)
class Arm:
    """One configuration of a study."""

    name: str
    """Name in the tables: "icpo", "icpo delta=0.3", "icpo random_reward"."""
    overrides: dict[str, Any]
    """The study's own settings for this arm, by dotted key."""
    config: Config
    """With the study's first seed."""
    against: str | None
    """Name of the arm it is compared with; None for the base arm."""
    layers: tuple[Layer, ...] = field(default=(), repr=False, compare=False)
    """The layers of `config`, on which a variation of the arm adds its own."""


@dataclass(frozen=True)
class Study:
    """Arms times seeds, in one folder."""

    name: str
    about: str
    arms: tuple[Arm, ...]
    """The base arm first."""
    seeds: tuple[int, ...]
    probe: Config | None
    """Configuration of the run whose verdicts select coarse data; train.iterations covers its epochs."""
    probe_run: str | None
    """Folder of an earlier run that replaces the probe."""
    folder: Path
    """studies/NAME-HASH8; the hash is over the arms' configurations without seeds, so a command finds its study."""
    probe_counted: bool = True
    """False in a plan whose data set is not downloaded: the iterations of the probe are unknown."""

    @property
    def files(self) -> StudyDir:
        return StudyDir(self.folder)


@dataclass(frozen=True)
class Job:
    """One arm with one seed: one `icpo train` process."""

    arm: str
    seed: int
    config: Config
    """With its own seed, name, output_dir and MLflow parent."""
    folder: Path

    @property
    def files(self) -> JobDir:
        return JobDir(self.folder)


def jobs_of(study: Study, parent: str) -> list[Job]:
    """All jobs, seed by seed, so that an interrupted study has complete seeds. `parent`: the study's MLflow run."""
    return [
        _job(study, arm.name, replace(arm.config, seed=seed), study.files.job(arm.name, seed), f" seed {seed}", parent)
        for seed in study.seeds
        for arm in study.arms
    ]


def probe_job(study: Study, probe: Config, parent: str) -> Job:
    """The job of the study's own probe run."""
    return _job(study, PROBE, probe, study.files.probe, "", parent)


def _job(study: Study, arm: str, config: Config, folder: Path, suffix: str, parent: str) -> Job:
    start = config.train.shared_start or str(study.files.start)
    config = replace(
        config,
        name=f"{study.name} {arm}{suffix}",
        train=replace(config.train, output_dir=str(folder), shared_start=start),
        track=replace(config.track, parent=parent),
    )
    return Job(arm, config.seed, config, folder)
