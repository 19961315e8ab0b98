"""Runs of a store by what a user calls them."""

from collections.abc import Sequence

from icpo_cli.errors import UserError
from icpo_cli.track.read import PastRun

SHOWN = 5


def find_run(runs: Sequence[PastRun], name: str, option: str) -> PastRun:
    """By id, unique beginning of an id, or name where one run alone has it.

    Raises UserError, which names the option that asked.
    """
    found = [run for run in runs if name and run.id.startswith(name)] or [run for run in runs if run.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{option} {name}: several runs are called so: {_some(found)}; give more of the id")
    raise UserError(f"{option} {name}: no such run in the store; newest: {_some(runs)}")


def _some(runs: Sequence[PastRun]) -> str:
    shown = ", ".join(f"{run.id[:12]} ({run.name})" for run in runs[:SHOWN])
    return shown + (f", ... ({len(runs):,} in all)" if len(runs) > SHOWN else "")
