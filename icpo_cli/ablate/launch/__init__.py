"""Launchers of a study's jobs: on this machine, or through SLURM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from icpo_cli.ablate.launch.local import LocalLauncher, shares
from icpo_cli.ablate.launch.slurm import SlurmLauncher, batch_script, slurm_settings
from icpo_cli.ablate.study import Study
from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError

if TYPE_CHECKING:
    from icpo_cli.ablate.run import Launcher

LAUNCHERS = ("local", "slurm")


def launcher_factory(study: Study, name: str, slurm: Sequence[str]) -> Callable[[int | None], Launcher]:
    """A function of the number of parallel jobs that makes a launcher; None: 1 locally, no limit in SLURM.

    `slurm`: KEY=VALUE of SlurmSettings. Raises UserError, here or when a launcher is made.
    """
    if name not in LAUNCHERS:
        raise UserError(f"--launcher: unknown launcher '{name}'{nearest(name, LAUNCHERS)}")
    if slurm and name != "slurm":
        raise UserError(f"--slurm {slurm[0]}: only with --launcher slurm")
    if name == "slurm":
        settings = slurm_settings(slurm)
        return lambda at_once: SlurmLauncher(study.files, study.name, settings, at_once)
    uses_gpus = any(arm.config.train.device != "cpu" for arm in study.arms)
    return lambda at_once: LocalLauncher(shares(1 if at_once is None else at_once, uses_gpus))


def slurm_script(study: Study, slurm: Sequence[str], at_once: int | None) -> str:
    """The batch script for all jobs of the study, as --dry-run prints it. Raises UserError."""
    jobs = len(study.arms) * len(study.seeds)
    return batch_script(study.files, study.name, slurm_settings(slurm), at_once, jobs)
