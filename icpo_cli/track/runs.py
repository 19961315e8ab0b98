"""Runs on this machine, found by what a user calls them."""

from pathlib import Path

from icpo_cli.errors import UserError


def find_run(output_dir: Path, run: str, option: str) -> Path:
    """The folder of a run: by path, id or unique beginning of an id.

    Raises UserError, which names the option that asked.
    """
    found = matching_runs(output_dir, run)
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{option} {run}: several runs begin so: {', '.join(path.name for path in found)}")
    known = sorted(path.parent.name for path in output_dir.glob("*/config.yaml"))
    raise UserError(f"{option} {run}: no such run in {output_dir}/; there: {', '.join(known) or 'none'}")


def matching_runs(output_dir: Path, run: str) -> list[Path]:
    """The folders that are called so; one where `run` is a folder's path."""
    if (Path(run) / "config.yaml").is_file():
        return [Path(run).resolve()]
    return sorted(path.parent for path in output_dir.glob(f"{run}*/config.yaml")) if _is_id(run) else []


def _is_id(run: str) -> bool:
    return bool(run) and run.replace("-", "").isalnum()
