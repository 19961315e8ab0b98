"""Samples of a run's stored responses for a page, spread over iterations or benchmarks, and their confidences."""

import contextlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.runs.checkpoints import iteration_of
from icpo_cli.runs.parquet import Row, column_names, read_rows, read_table
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, responses_in
from icpo_cli.text import shortened, visible
from icpo_cli.track.read import PastRun, RunStore

ITERATIONS_A_RUN = 3
RESPONSES_A_RUN = 150
LONGEST_HEAD, LONGEST_TAIL = 4000, 2000
"""Characters of a text that are shown; the answer is at its end."""
TEXTS = ("question", "gold", "text", "extracted", "rule", "reason", "verdict", "finish_reason", "prompt_id")
REWARDS = ("reward_answer", "reward_format", "reward_noise", "reward_overlong", "reward_verif")
DERIVED = ("confidence", "preference_score", "bonus", "reward_final", "advantage", "grpo_advantage")
NUMBERS = (*REWARDS, *DERIVED, "preference_capped", "entropy_mean", "response")
EVALUATED = ("id", "index", "bench", "mean_prob")
"""Columns of an evaluation's table that an iteration's table lacks."""


@dataclass(frozen=True)
class Responses:
    """Responses of one run that a page shows."""

    rows: tuple[Mapping[str, Any], ...]
    """Each with `where` (iteration or benchmark), `prompt_id`, `response` (from 1) and the columns of TEXTS and NUMBERS
    that its table has: text safe to display, finite numbers."""
    note: str
    """Left out responses and unreadable files; empty without any."""


Confidences = dict[str, NDArray[Any]]
"""Arrays over N responses: `group`, the number of the prompt in the batch, from 1; `value`, the log of the mean token
probability; `verdict`."""


def responses_of(store: RunStore, run: PastRun) -> Responses | None:
    """Whole groups of the first, middle and last iteration, or of each benchmark; None without stored responses."""
    files = _files(store, run)
    shown = [files[index] for index in spread(len(files), ITERATIONS_A_RUN)]
    rows: list[Row] = []
    notes = [f"iterations: {len(shown)} of {len(files):,}"] if len(shown) < len(files) else []
    stored = 0
    for file in shown:
        try:
            found, total = _trained(file, len(shown)) if run.kind is Kind.TRAIN else _evaluated(file)
        except (OSError, ValueError) as error:  # deleted meanwhile, or half written by a running run
            notes.append(f"{file.name} cannot be read ({type(error).__name__})")
            continue
        rows += found
        stored += total
    if len(rows) < stored:
        notes.append(f"responses: {len(rows):,} of {stored:,}")
    return Responses(tuple(map(_shown, rows)), "; ".join(notes)) if files else None


def confidences_of(store: RunStore, run: PastRun) -> Confidences:
    """Confidences of all responses of the last readable iteration, or of an evaluation; empty if none are known."""
    prompt, column = (("prompt_id",), "confidence") if run.kind is Kind.TRAIN else (("bench", "id"), "mean_prob")
    rows: list[Row] = []
    for file in reversed(_files(store, run)):
        with contextlib.suppress(OSError, ValueError):  # the run may be writing it: use the one before
            rows = read_table(file, [*prompt, column, "verdict"])
            break
    prompts = [tuple(row[name] for name in prompt) for row in rows]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(prompts), 1)}
    values = np.array([row[column] for row in rows], dtype=float)
    if column == "mean_prob":
        values = np.log(np.where(values > 0, values, np.nan))
    known = np.isfinite(values)
    return {
        "group": np.array([numbers[each] for each in prompts])[known],
        "value": values[known],
        "verdict": np.array([row["verdict"] for row in rows])[known],
    }


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` indices from 0 to count - 1, evenly spaced, with the first and the last; all if there are no more."""
    if count <= wanted:
        return list(range(count))
    return [round(step * (count - 1) / max(wanted - 1, 1)) for step in range(wanted)]


def _files(store: RunStore, run: PastRun) -> list[Path]:
    """Files with responses: one an iteration, sorted, or an evaluation's single one."""
    if run.kind is Kind.TRAIN:
        folder = store.artifact(run.id, str(ARTIFACTS.responses_folder))
        return list(responses_in(folder).values()) if folder else []
    file = store.artifact(run.id, str(ARTIFACTS.eval_responses_file))
    return [file] if file else []


def _trained(file: Path, files: int) -> tuple[list[Row], int]:
    """Rows of an iteration that are shown, and the number that its file has."""
    prompts = [row["prompt_id"] for row in read_table(file, ["prompt_id"])]
    indices = _whole_groups(prompts, RESPONSES_A_RUN // files)
    where = f"iteration {iteration_of(file)}"
    return [{"where": where, **row} for row in _columns(file, (*TEXTS, *NUMBERS), indices)], len(prompts)


def _evaluated(file: Path) -> tuple[list[Row], int]:
    """Rows of each benchmark that is not confidential, and the number that the file has."""
    keys = [(row["bench"], row["id"]) for row in read_table(file, ["bench", "id"])]
    by_bench: dict[str, list[int]] = {}
    for index, (bench, _) in enumerate(keys):
        if not BENCHMARKS[bench].confidential:  # a response may quote its question
            by_bench.setdefault(bench, []).append(index)
    indices: list[int] = []
    for its in by_bench.values():
        indices += [its[at] for at in _whole_groups([keys[at] for at in its], RESPONSES_A_RUN // len(by_bench))]
    rows = [
        {
            "where": row["bench"],
            "prompt_id": row["id"],
            "response": row["index"] + 1,
            "confidence": _log(row["mean_prob"]),
            **row,
        }
        for row in _columns(file, (*TEXTS, *EVALUATED), indices)
    ]
    return rows, len(keys)


def _columns(file: Path, wanted: Sequence[str], indices: Sequence[int]) -> list[Row]:
    """Rows with the wanted columns that the file has: tables of earlier versions have fewer."""
    known = column_names(file)
    return read_rows(file, [name for name in wanted if name in known], indices)


def _whole_groups(keys: Sequence[Hashable], most: int) -> list[int]:
    """Indices of whole groups of equal keys, evenly spread: about `most` indices, but at least one group."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    whole = list(groups.values())
    wanted = max(1, most * len(whole) // max(len(keys), 1))
    return [index for at in spread(len(whole), wanted) for index in whole[at]]


def _shown(row: Row) -> Row:
    texts = {
        name: visible(shortened(row[name], LONGEST_HEAD, LONGEST_TAIL)) for name in ("where", *TEXTS) if row.get(name)
    }
    numbers = {name: float(row[name]) for name in NUMBERS if row.get(name) is not None and math.isfinite(row[name])}
    return texts | numbers


def _log(mean_prob: float | None) -> float | None:
    """Confidence of a response as in training: the log of its mean token probability."""
    return math.log(mean_prob) if mean_prob else None
