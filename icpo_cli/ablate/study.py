"""A study and its arms, resolved: what is planned, launched, and compared."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config

PROBE, START = "probe", "start"
"""Folders of a study beside those of its arms: its probe's run, and the evaluation that its runs share."""


@dataclass(frozen=True)
class Arm:
    """One configuration of a study."""

    name: str
    """As tables print it: "icpo", "icpo delta=0.3", "icpo random_reward"."""
    overrides: dict[str, Any]
    """What the study says of it, dotted key to value."""
    config: Config
    """Resolved, with the study's first seed."""
    against: str | None
    """The arm it is compared with; None for the base arm."""


@dataclass(frozen=True)
class Probe:
    """The run whose verdicts select coarse data."""

    config: Config
    """Resolved; train.iterations covers its epochs."""
    counted: bool = True
    """False in the plan of one whose data set is not here: its iterations are not known then."""


@dataclass(frozen=True)
class Study:
    name: str
    about: str
    arms: tuple[Arm, ...]
    """The base arm first."""
    seeds: tuple[int, ...]
    probe: Probe | None
    probe_run: str | None
    """A run that is taken as the probe, where one is named."""
    folder: Path
    """studies/NAME-HASH8, by the arms' configurations, seeds apart: the same command finds its study again."""


@dataclass(frozen=True)
class Job:
    """One arm with one seed: one `icpo train` process."""

    arm: str
    seed: int
    config: Config
    """Resolved, with its seed, its own name, output_dir and MLflow parent."""
    folder: Path


def jobs_of(study: Study, parent: str) -> list[Job]:
    """Seeds outermost, so that a study cut short has whole seeds. `parent`: the study's MLflow run."""
    return [_job(study, arm, seed, parent) for seed in study.seeds for arm in study.arms]


def slug(name: str) -> str:
    """An arm's name as a folder's: "icpo delta=0.3" is icpo-delta-0.3."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def _job(study: Study, arm: Arm, seed: int, parent: str) -> Job:
    folder = study.folder / slug(arm.name) / f"seed-{seed}"
    start = arm.config.train.shared_start or str(study.folder / START)
    config = replace(
        arm.config,
        name=f"{study.name} {arm.name} seed {seed}",
        seed=seed,
        train=replace(arm.config.train, output_dir=str(folder), shared_start=start),
        track=replace(arm.config.track, parent=parent),
    )
    return Job(arm.name, seed, config, folder)
