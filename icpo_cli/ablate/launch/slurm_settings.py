"""What a study's jobs ask of SLURM, and the batch script that submitit makes of it."""

import dataclasses
import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError

EXTRA = "extra."


@dataclass(frozen=True)
class SlurmSettings:
    """What each job asks of SLURM: `--slurm KEY=VALUE`."""

    partition: str | None = None
    time_minutes: int = 1440
    """Of one stay; a job that is not done by then saves and is queued again."""
    save_minutes: int = 10
    """Before the time limit, when it is told to save: longer than its slowest iteration."""
    gpus: int = 0
    """Ranks of a run, one a GPU; 0 runs on cores."""
    cpus: int = 1
    memory_gib: int | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    """Any other option of sbatch: extra.account=x."""


def slurm_settings(pairs: Sequence[str]) -> SlurmSettings:
    """Of `--slurm KEY=VALUE ...`. Raises UserError."""
    names = [each.name for each in dataclasses.fields(SlurmSettings) if each.name != "extra"]
    values: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise UserError(f"--slurm {pair}: not a KEY=VALUE")
        if key.startswith(EXTRA):
            extra[key.removeprefix(EXTRA)] = value
        elif key not in names:
            raise UserError(f"--slurm {pair}: unknown key '{key}'{nearest(key, [*names, 'extra.OPTION'])}")
        elif key == "partition":
            values[key] = value
        elif not value.isdigit() or int(value) < (0 if key == "gpus" else 1):
            raise UserError(f"--slurm {pair}: '{value}' is not a whole number above 0")
        else:
            values[key] = int(value)
    settings = SlurmSettings(**values, extra=extra)
    if settings.save_minutes >= settings.time_minutes:
        raise UserError(
            f"--slurm save_minutes={settings.save_minutes}: must be under time_minutes, {settings.time_minutes}"
        )
    return settings


def require_slurm() -> None:
    """Raises UserError where submitit or SLURM's commands are not installed."""
    require_submitit()
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise UserError(f"--launcher slurm: {command} is not installed here; use --launcher local")


def require_submitit() -> None:
    if importlib.util.find_spec("submitit") is None:
        raise UserError("--launcher slurm: submitit is not installed; pip install 'icpo-cli[slurm]'")


def parameters(name: str, settings: SlurmSettings, at_once: int | None) -> dict[str, Any]:
    """As submitit's SlurmExecutor takes them."""
    optional = {
        "partition": settings.partition,
        "gpus_per_node": settings.gpus or None,
        "mem": None if settings.memory_gib is None else f"{settings.memory_gib}GB",
        "array_parallelism": at_once,
    }
    return {
        "job_name": name,
        "time": settings.time_minutes,
        "signal_delay_s": settings.save_minutes * 60,
        "cpus_per_task": settings.cpus,
        # srun does not take it over from sbatch since SLURM 22.05.
        "srun_args": [f"--cpus-per-task={settings.cpus}"],
        "additional_parameters": {"requeue": True, **settings.extra},
        **{key: value for key, value in optional.items() if value is not None},
    }


def script(study_folder: Path, name: str, settings: SlurmSettings, at_once: int | None, jobs: int) -> str:
    """The batch script that submitit would submit for so many jobs. Raises UserError without submitit."""
    require_submitit()
    # Its executor, which has a method for this, cannot be made where SLURM is not installed.
    from submitit.slurm.slurm import _make_sbatch_string

    folder = (study_folder / "slurm").absolute()
    command = f"{sys.executable} -u -m submitit.core._submit {folder}"
    array: dict[str, Any] = {"map_count": jobs} if jobs > 1 else {}
    return str(_make_sbatch_string(command, folder, **parameters(name, settings, at_once), **array))
