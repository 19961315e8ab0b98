"""From what a user asked for to a launcher."""

from collections.abc import Callable, Sequence

from icpo_cli.ablate.launch.launcher import Launcher
from icpo_cli.ablate.launch.local import LocalLauncher, shares
from icpo_cli.ablate.launch.slurm import SlurmLauncher
from icpo_cli.ablate.launch.slurm_settings import script, slurm_settings
from icpo_cli.ablate.study import Study
from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError

LAUNCHERS = ("local", "slurm")


def launchers_of(study: Study, name: str, slurm: Sequence[str]) -> Callable[[int | None], Launcher]:
    """A maker of launchers of so many jobs at once: None is one here, as many as SLURM allows there.

    `slurm`: KEY=VALUE of SlurmSettings. Raises UserError, here or when a launcher is made.
    """
    _check(name, slurm)
    if name == "slurm":
        settings = slurm_settings(slurm)
        return lambda at_once: SlurmLauncher(study.folder, study.name, settings, at_once)
    uses_gpus = any(arm.config.train.device != "cpu" for arm in study.arms)
    return lambda at_once: LocalLauncher(shares(1 if at_once is None else at_once, uses_gpus))


def slurm_script(study: Study, slurm: Sequence[str], at_once: int | None) -> str:
    """What --dry-run shows of `--launcher slurm`: the batch script of all the study's jobs. Raises UserError."""
    jobs = len(study.arms) * len(study.seeds)
    return script(study.folder, study.name, slurm_settings(slurm), at_once, jobs)


def _check(name: str, slurm: Sequence[str]) -> None:
    if name not in LAUNCHERS:
        raise UserError(f"--launcher: unknown launcher '{name}'{nearest(name, LAUNCHERS)}")
    if slurm and name != "slurm":
        raise UserError(f"--slurm {slurm[0]}: only with --launcher slurm")
