"""Coarse data: a data set of the questions whose responses in a probe run were all correct or all wrong.

coarse.jsonl has one question per line: id, question, answer, kind, choices, and the reason for its selection.
coarse.json has the probe run and counts.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import SourceConfig
from icpo_cli.errors import UserError
from icpo_cli.records import UNIFORM, VerdictKind, group_outcome
from icpo_cli.runs.files import write_text
from icpo_cli.runs.parquet import Row, column_names, read_table
from icpo_cli.runs.run_dir import RunDir
from icpo_cli.runs.study_dir import StudyDir

COLUMNS = ("prompt_id", "question", "gold", "gold_kind", "gold_choices", "response", "verdict")
"""Columns that the stored responses of the probe need."""


@dataclass(frozen=True)
class CoarseData:
    """The record of a selection: coarse.json."""

    probe: str
    """Id of the run."""
    iterations: int
    """Number of the probe's iterations that were read: its first epoch."""
    prompts: int
    """Number of selected questions."""
    counts: dict[str, int]
    """Number of questions by reason: all_right and all_wrong are selected, mixed and undecided are not."""
    fingerprint: str
    """sha256 of coarse.jsonl."""


def coarse_source(probed: SourceConfig, study: StudyDir) -> SourceConfig:
    """data.train of the arms, known before the probe has run. `probed`: data.train of the probe."""
    return SourceConfig(
        source="file",
        path=str(study.coarse_questions),
        id_column="id",
        choices_column="choices" if probed.choices_column else None,
        kind=probed.kind,
    )


def select_coarse(run: RunDir, study: StudyDir) -> CoarseData:
    """Select the coarse data from a probe run and write it into the study's folder. A repeated call changes nothing.

    Raises UserError if the run has no verdicts by prompt or used shuffled gold answers, if no question is selected, and
    if the folder contains another selection, on which arms may have trained.
    """
    if run.config().reward.control == "shuffled_golds":
        raise UserError(f"probe {run.id}: reward.control shuffled its gold answers, so its verdicts cannot select data")
    groups, iterations = _first_epoch(run)
    outcomes = {name: group_outcome([VerdictKind(row["verdict"]) for row in rows]) for name, rows in groups.items()}
    selected = {name: outcome for name, outcome in outcomes.items() if outcome in UNIFORM}
    # The selected ones first, then those that are left out.
    counts = dict(Counter(sorted(outcomes.values(), key=lambda outcome: outcome not in UNIFORM)))
    if not selected:
        raise UserError(
            f"probe {run.id}: no question is left: none of its {len(groups)} groups was all correct or all wrong "
            f"({counts_text(counts)})"
        )
    text = "".join(_line(groups[name][0], reason) for name, reason in selected.items())
    found = CoarseData(
        probe=run.id,
        iterations=iterations,
        prompts=len(selected),
        counts=counts,
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    _check_same(study.coarse_record, found)
    study.path.mkdir(parents=True, exist_ok=True)
    write_text(study.coarse_questions, text)
    write_text(study.coarse_record, json.dumps(asdict(found), indent=2))
    return found


def _first_epoch(run: RunDir) -> tuple[dict[str, list[Row]], int]:
    """The rows of each prompt's first group, in the order of the run, and the number of iterations read."""
    files = list(run.responses().values())
    if not files:
        raise UserError(f"probe {run.id}: has no verdicts by prompt: no tables of responses in {run.responses_folder}")
    first: dict[str, list[Row]] = {}
    for number, path in enumerate(files):
        before = len(first)
        for rows in _groups(_read(run, path)):
            first.setdefault(rows[0]["prompt_id"], rows)
        if len(first) == before:
            return first, number
    return first, len(files)


def _read(run: RunDir, path: Path) -> list[Row]:
    try:
        missing = [name for name in COLUMNS if name not in column_names(path)]
        if missing:
            raise UserError(f"probe {run.id}: has no verdicts by prompt: {path} has no column '{missing[0]}'")
        return read_table(path, COLUMNS)
    except (OSError, ValueError) as error:  # the base classes of pyarrow's errors
        raise UserError(f"probe {run.id}: {path} cannot be read: {' '.join(str(error).split())}") from None


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Split rows into groups; each begins with response 1."""
    starts = [index for index, row in enumerate(rows) if row["response"] == 1]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield list(rows[start:end])


def _line(row: Row, reason: str) -> str:
    values: dict[str, Any] = {
        "id": row["prompt_id"],
        "question": row["question"],
        "answer": row["gold"],
        "kind": row["gold_kind"],
        "choices": row["gold_choices"],
        "reason": reason,
    }
    return json.dumps(values, ensure_ascii=False) + "\n"


def _check_same(path: Path, found: CoarseData) -> None:
    if not path.exists():
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["fingerprint"] != found.fingerprint:
        raise UserError(
            f"probe {found.probe}: selects other questions than {path}, which is from probe {held['probe']}; "
            f"move {path.parent} to start a new study"
        )


def counts_text(counts: Mapping[str, int]) -> str:
    """Numbers of questions by reason: 3 all right, 5 mixed."""
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items())
