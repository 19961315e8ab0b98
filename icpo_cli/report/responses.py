"""Some of a run's stored responses: so many that a page can hold them, spread over what there is."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.runs.checkpoints import iteration_of
from icpo_cli.runs.parquet import Row, column_names, read_rows, read_table
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, responses_in
from icpo_cli.text import shortened, visible
from icpo_cli.track.read import PastRun, RunStore

ITERATIONS_A_RUN = 3
RESPONSES_A_RUN = 150
LONGEST_HEAD, LONGEST_TAIL = 4000, 2000
"""Letters of a text that are shown; an answer stands at its end."""
TEXTS = ("question", "gold", "text", "extracted", "rule", "reason", "verdict", "finish_reason", "prompt_id")
NUMBERS = (
    "confidence",
    "preference_score",
    "preference_capped",
    "bonus",
    "reward_answer",
    "reward_format",
    "reward_noise",
    "reward_verif",
    "reward_final",
    "advantage",
    "grpo_advantage",
    "entropy_mean",
    "response",
)
EVALUATED = ("id", "index", "bench", "mean_prob")
"""What the table of an evaluation has, and that of an iteration has not."""


@dataclass(frozen=True)
class Responses:
    """What a page shows of one run's."""

    rows: tuple[Mapping[str, Any], ...]
    """Each with `where` (iteration or benchmark), `prompt_id`, `response` (from 1) and what its table has of TEXTS and
    NUMBERS: text that can be looked at, numbers that are finite."""
    note: str
    """What is left out and what could not be read; empty where these are all."""


@dataclass(frozen=True)
class Confidence:
    """One response's, and whether it was right."""

    group: int
    """Its prompt's number in the batch, from 1."""
    value: float
    """Log of the mean token probability."""
    verdict: str


def responses_of(store: RunStore, run: PastRun) -> Responses | None:
    """Whole groups of the first, middle and last iteration, or of each benchmark; None where none are to be had."""
    files = _files(store, run)
    shown = [files[place] for place in spread(len(files), ITERATIONS_A_RUN)]
    rows: list[Row] = []
    notes = [f"iterations: {len(shown)} of {len(files):,}"] if len(shown) < len(files) else []
    stored = 0
    for file in shown:
        try:
            found, there = _trained(file, len(shown)) if run.kind is Kind.TRAIN else _evaluated(file)
        except (OSError, ValueError) as error:  # deleted meanwhile, or half written by a run that goes on
            notes.append(f"{file.name} cannot be read ({type(error).__name__})")
            continue
        rows += found
        stored += there
    if len(rows) < stored:
        notes.append(f"responses: {len(rows):,} of {stored:,}")
    return Responses(tuple(map(_shown, rows)), "; ".join(notes)) if files else None


def confidences_of(store: RunStore, run: PastRun) -> list[Confidence]:
    """Of all responses of the last iteration that can be read, or of an evaluation; empty where none are known."""
    for file in reversed(_files(store, run)):
        try:
            if run.kind is Kind.TRAIN:
                rows = read_table(file, ["prompt_id", "confidence", "verdict"])
            else:
                rows = [
                    {"prompt_id": (row["bench"], row["id"]), "confidence": _log(row["mean_prob"]), **row}
                    for row in read_table(file, ["bench", "id", "mean_prob", "verdict"])
                ]
        except (OSError, ValueError):  # the run may be writing it: the one before will do
            continue
        groups = {prompt: number + 1 for number, prompt in enumerate(dict.fromkeys(row["prompt_id"] for row in rows))}
        return [
            Confidence(groups[row["prompt_id"]], row["confidence"], row["verdict"])
            for row in rows
            if row["confidence"] is not None and math.isfinite(row["confidence"])
        ]
    return []


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` places from 0 to count - 1, evenly, the first and the last among them; all where there are no more."""
    if count <= wanted:
        return list(range(count))
    return [round(place * (count - 1) / max(wanted - 1, 1)) for place in range(wanted)]


def _files(store: RunStore, run: PastRun) -> list[Path]:
    """By iteration, or an evaluation's one."""
    if run.kind is Kind.TRAIN:
        folder = store.artifact(run.id, str(ARTIFACTS.responses_folder))
        return list(responses_in(folder).values()) if folder else []
    file = store.artifact(run.id, str(ARTIFACTS.eval_responses_file))
    return [file] if file else []


def _trained(file: Path, files: int) -> tuple[list[Row], int]:
    """Rows of an iteration, and how many its file has."""
    prompts = [row["prompt_id"] for row in read_table(file, ["prompt_id"])]
    places = _of_groups(prompts, RESPONSES_A_RUN // files)
    where = f"iteration {iteration_of(file)}"
    return [{"where": where, **row} for row in _columns(file, (*TEXTS, *NUMBERS), places)], len(prompts)


def _evaluated(file: Path) -> tuple[list[Row], int]:
    """Rows of each benchmark whose authors do not ask to keep it out of sight, and how many the file has."""
    keys = [(row["bench"], row["id"]) for row in read_table(file, ["bench", "id"])]
    by_bench: dict[str, list[int]] = {}
    for place, (bench, _) in enumerate(keys):
        if not BENCHMARKS[bench].confidential:  # a response may quote its question
            by_bench.setdefault(bench, []).append(place)
    places: list[int] = []
    for its in by_bench.values():
        places += [its[at] for at in _of_groups([keys[place] for place in its], RESPONSES_A_RUN // len(by_bench))]
    rows = [
        {
            "where": row["bench"],
            "prompt_id": row["id"],
            "response": row["index"] + 1,
            "confidence": _log(row["mean_prob"]),
            **row,
        }
        for row in _columns(file, (*TEXTS, *EVALUATED), places)
    ]
    return rows, len(keys)


def _columns(file: Path, wanted: Sequence[str], places: Sequence[int]) -> list[Row]:
    """Those that the file has: tables of earlier versions have fewer."""
    there = column_names(file)
    return read_rows(file, [name for name in wanted if name in there], places)


def _of_groups(keys: Sequence[Hashable], most: int) -> list[int]:
    """Places of whole groups of equal keys, spread evenly: `most` places, but one group at least."""
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    whole = list(groups.values())
    wanted = max(1, most * len(whole) // max(len(keys), 1))
    return [place for at in spread(len(whole), wanted) for place in whole[at]]


def _shown(row: Row) -> Row:
    texts = {
        name: visible(shortened(row[name], LONGEST_HEAD, LONGEST_TAIL)) for name in ("where", *TEXTS) if row.get(name)
    }
    numbers = {name: float(row[name]) for name in NUMBERS if row.get(name) is not None and math.isfinite(row[name])}
    return texts | numbers


def _log(mean_prob: float | None) -> float | None:
    """The confidence of a response, as training has it."""
    return math.log(mean_prob) if mean_prob else None
