"""The file of --rows: which run fills which row.

rows:
  - {family: qwen, model: Qwen2.5-7B, method: grpo, run: 3f2a91}
  - {run: [77ab02, 91cc54]}    # the rest is as the runs have it
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.load import nearest, read_yaml
from icpo_cli.errors import UserError
from icpo_cli.report.names import VERIFIERS

KEYS = ("family", "model", "method", "setting", "verifier", "run")


@dataclass(frozen=True)
class NamedRow:
    """One row; None is what its runs say of themselves."""

    place: str
    """File and row, for messages."""
    runs: tuple[str, ...]
    family: str | None = None
    model: str | None = None
    method: str | None = None
    setting: str | None = None
    verifier: str | None = None


def read_rows(path: Path) -> tuple[NamedRow, ...]:
    """Raises UserError, one line naming file, row and key."""
    document = read_yaml(path)
    rows = document.get("rows")
    if set(document) != {"rows"} or not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: must hold 'rows' alone, a list of {{{', '.join(KEYS)}}}")
    return tuple(_row(f"{path}: row {number}", row) for number, row in enumerate(rows, 1))


def _row(place: str, row: Any) -> NamedRow:
    if not isinstance(row, dict):
        raise UserError(f"{place}: must be {{{', '.join(KEYS)}}}, not {row!r}")
    for key, value in row.items():
        if key not in KEYS:
            raise UserError(f"{place}: unknown key '{key}'{nearest(str(key), KEYS)}")
        if key != "run" and not isinstance(value, str):
            raise UserError(f"{place}: '{key}' must be a text, not {value!r}")
    runs = row.get("run")
    runs = runs if isinstance(runs, list) else [runs]
    if not runs or not all(isinstance(run, str) and run for run in runs):
        raise UserError(f"{place}: 'run' must name a run, or a list of them, in quotes where the id is all digits")
    if row.get("verifier", "none") not in VERIFIERS:
        raise UserError(f"{place}: verifier: unknown '{row['verifier']}'{nearest(row['verifier'], list(VERIFIERS))}")
    return NamedRow(place, tuple(runs), **{key: row.get(key) for key in KEYS if key != "run"})
