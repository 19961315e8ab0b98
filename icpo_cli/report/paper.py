"""Baselines to compare with: the paper's Tables 1 to 4, which come with the package, or a CSV file like them.

Columns of a file: model, method, and one or more benchmarks by name (accuracy in percent, empty for none). Optional:
table, family, setting, verifier, printed_as, note. `icpo report --format csv` writes such a file.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from icpo_cli.config.load import nearest
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.errors import UserError
from icpo_cli.report.accuracy_table import SCORE_COLUMNS
from icpo_cli.report.names import family
from icpo_cli.report.results import MEANS, UNKNOWN, EvalRow, ModelVariant, Score

PAPER = Path(__file__).with_name("paper_tables.csv")
NEEDED = ("model", "method")
KNOWN = (*NEEDED, "table", "family", "setting", "verifier", "printed_as", "note", *BENCHMARKS, *MEANS)
COARSE_TABLE = "table2"


def paper_rows() -> tuple[EvalRow, ...]:
    """All 42 rows of the paper's Tables 1 to 4."""
    return read_table(PAPER)


def read_table(path: Path) -> tuple[EvalRow, ...]:
    """Rows of a CSV file. Raises UserError, one line naming file, line and column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or ())
            rows = tuple(_row(f"{path}:{reader.line_num}", columns) for columns in reader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    if not rows:
        raise UserError(f"{path}: has no rows")
    return rows


def _check_columns(path: Path, found: Sequence[str]) -> None:
    known = [*KNOWN, *(f"{bench}_{what}" for bench in (*BENCHMARKS, *MEANS) for what in SCORE_COLUMNS)]
    for name in found:
        if name not in known:
            raise UserError(f"{path}: unknown column '{name}'{nearest(name, KNOWN)}")
        if found.count(name) > 1:
            raise UserError(f"{path}: two columns are called '{name}'")
    for name in NEEDED:
        if name not in found:
            raise UserError(f"{path}: no column '{name}'; needed: model, method, and benchmarks by name")
    if not set(found) & set(BENCHMARKS):
        raise UserError(f"{path}: no column of a benchmark; they are called {', '.join(BENCHMARKS)}")


def _row(location: str, columns: dict[str, str]) -> EvalRow:
    if None in columns or None in columns.values():
        count = "more" if None in columns else "fewer"
        raise UserError(f"{location}: has {count} cells than the first line has columns")
    model, method = (columns[name].strip() for name in NEEDED)
    if not model or not method:
        raise UserError(f"{location}: column '{'method' if model else 'model'}' is empty")
    scores = {}
    for bench in BENCHMARKS:
        value = _number(location, columns, bench)
        if value is not None:
            stderr = _number(location, columns, f"{bench}_stderr")
            scores[bench] = Score(
                value,
                math.nan if stderr is None else stderr,
                grader=columns.get(f"{bench}_grader") or UNKNOWN,
                data=columns.get(f"{bench}_data") or UNKNOWN,
            )
    coarse = columns.get("table") == COARSE_TABLE and method != "base"
    variant = ModelVariant(
        family=family(model),
        model=model,
        method=method,
        setting=columns.get("setting", "coarse" if coarse else ""),
        verifier=columns.get("verifier", "none") or "none",
    )
    return EvalRow(variant, scores, columns)


def _number(location: str, columns: Mapping[str, str], name: str) -> float | None:
    text = columns.get(name, "").strip()
    if not text:
        return None
    # float() also accepts nan, inf and 1_0.
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE):
        raise UserError(f"{location}: column '{name}' is {text!r}, not a number")
    value = float(text)
    if not 0 <= value <= 100:
        raise UserError(f"{location}: column '{name}' is {text}; accuracies are percent, from 0 to 100")
    return value
