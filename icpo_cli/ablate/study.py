"""A study, its arms and its jobs, with resolved configurations: what is planned, launched and compared."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config

PROBE, START = "probe", "start"
"""Folders of a study, next to those of its arms: its probe run, and the first evaluation that its runs share."""


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


@dataclass(frozen=True)
class Job:
    """One arm with one seed: one `icpo train` process."""

    arm: str
    seed: int
    config: Config
    """With its own seed, name, output_dir and MLflow parent."""
    folder: Path


def jobs_of(study: Study, parent: str) -> list[Job]:
    """All jobs, seed by seed, so that an interrupted study has complete seeds. `parent`: the study's MLflow run."""
    return [_job(study, arm, seed, parent) for seed in study.seeds for arm in study.arms]


def probe_job(study: Study, probe: Config, parent: str) -> Job:
    """The job of the study's own probe run."""
    return _run_job(study, PROBE, probe, study.folder / PROBE, f"{study.name} {PROBE}", parent)


def slug(name: str) -> str:
    """An arm's name as the name of a folder: "icpo delta=0.3" becomes icpo-delta-0.3."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def _job(study: Study, arm: Arm, seed: int, parent: str) -> Job:
    folder = study.folder / slug(arm.name) / f"seed-{seed}"
    config = replace(arm.config, seed=seed)
    return _run_job(study, arm.name, config, folder, f"{study.name} {arm.name} seed {seed}", parent)


def _run_job(study: Study, arm: str, config: Config, folder: Path, name: str, parent: str) -> Job:
    start = config.train.shared_start or str(study.folder / START)
    config = replace(
        config,
        name=name,
        train=replace(config.train, output_dir=str(folder), shared_start=start),
        track=replace(config.track, parent=parent),
    )
    return Job(arm, config.seed, config, folder)
