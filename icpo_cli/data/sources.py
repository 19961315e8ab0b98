"""Questions of a data source: a reasoning_gym task, a local file or a hub data set."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.load import nearest
from icpo_cli.config.schema import SourceConfig
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Question
from icpo_cli.text import cut

PlacedRow = tuple[str, dict[str, Any]]
"""A row's place for messages (file:line), and its columns."""


@dataclass(frozen=True)
class RawRow:
    """One row of a data set. A column of the wrong form raises UserError that names the row."""

    place: str
    """file:line, for messages."""
    number: int
    """From 0."""
    columns: dict[str, Any]
    confidential: bool = False
    """Messages name the type of a value instead of the value."""

    def has(self, column: str) -> bool:
        return self.columns.get(column) is not None

    def value(self, column: str) -> Any:
        """The value at a path such as prompt.1.content; a column whose own name contains dots takes precedence."""
        if column in self.columns:
            return self.columns[column]
        value: Any = self.columns
        for part in column.split("."):
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise UserError(f"{self.place}: no column '{column}'{nearest(column, list(self.columns))}")
        return value

    def text(self, column: str) -> str:
        """A text or a number, as text; never empty."""
        return self._text(column, self.value(column))

    def texts(self, column: str, least: int = 1) -> tuple[str, ...]:
        """A list of options, at least as many."""
        values = self.value(column)
        if not isinstance(values, list) or len(values) < least:
            raise UserError(f"{self.place}: column '{column}' is {self._shown(values)}, not a list of options")
        return tuple(self._text(column, value) for value in values)

    def _text(self, column: str, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
            raise UserError(f"{self.place}: column '{column}' is {self._shown(value)}, not a text or a number")
        return str(value)

    def _shown(self, value: Any) -> str:
        if not self.confidential:
            return cut(repr(value), 100)
        if isinstance(value, list):
            return f"a list of {len(value)}"
        return "empty" if value is None or not str(value).strip() else f"a {type(value).__name__}"


def load_questions(source: SourceConfig) -> list[Question]:
    """All questions of the source, in order, with golds as read_golds() reads them.

    Raises UserError on a missing file, a malformed row (file and line), a missing column or a repeated id.
    """
    questions: dict[str, Question] = {}
    for index, (place, row) in enumerate(SOURCES[source.source](source)):
        question = _question(source, RawRow(place, index, row))
        if question.id in questions:
            raise UserError(f"{place}: id '{question.id}' appears twice")
        questions[question.id] = question
    if not questions:
        raise UserError(f"{source.path or source.task}: has no rows")
    if source.answer_column is None:
        return list(questions.values())
    from icpo_cli.grading.golds import read_golds

    golds = read_golds([question.gold for question in questions.values()])
    return [replace(question, gold=gold) for question, gold in zip(questions.values(), golds, strict=True)]


def selected_by(source: SourceConfig) -> str | None:
    """The probe run whose verdicts selected a coarse data set; None for other data.

    The record next to the data, FILE.json, names it, with the sha256 of the data that it is about.
    """
    data = Path(source.path or "")
    try:
        record = json.loads(data.with_suffix(".json").read_text(encoding="utf-8"))
        known = record["fingerprint"] == hashlib.sha256(data.read_bytes()).hexdigest()
        return str(record["probe"]) if known else None
    except (OSError, ValueError, KeyError, TypeError):  # no such record
        return None


def source_name(source: SourceConfig) -> str:
    if source.source == "reasoning_gym":
        return f"reasoning_gym {source.task}"
    return f"{source.path}, split {source.split}" if source.source == "hub" else str(source.path)


def source_here(source: SourceConfig) -> str | None:
    """Where the data is on this machine, or None; a hub data set is here if the hub's cache has its files."""
    if source.source == "reasoning_gym":
        return "generated when needed"
    path = Path(str(source.path))
    if path.exists():
        return str(path)
    if source.source == "file":
        return None

    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"datasets--{str(source.path).replace('/', '--')}" / "snapshots"
    return "in the hub's cache" if snapshots.is_dir() and any(snapshots.iterdir()) else None


def how_to_get_source(source: SourceConfig) -> str:
    """Instructions; empty for generated data."""
    if source.source == "hub":
        return "get it with network by `icpo data prepare train` and the configuration"
    return f"put a file at {source.path}" if source.source == "file" else ""


def _question(source: SourceConfig, row: RawRow) -> Question:
    text = row.text(source.question_column)
    answer = "" if source.answer_column is None else row.value(source.answer_column)
    # A missing answer only leaves its question out, with a message; see load_prompts.
    if answer is None or answer != answer:  # NaN differs from itself
        answer = ""
    elif answer != "":
        answer = str(answer) if isinstance(answer, bool) else row.text(str(source.answer_column))
    name = str(row.number) if source.id_column is None else row.text(source.id_column)
    kind = None if source.kind == "auto" else AnswerKind(source.kind)
    choices = () if source.choices_column is None else row.texts(source.choices_column)
    return Question(id=name, text=text, gold=Gold(answer, kind, choices))


def _reasoning_gym_rows(source: SourceConfig) -> Iterator[PlacedRow]:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if source.task not in DATASETS:
        raise UserError(f"unknown reasoning_gym task '{source.task}'{nearest(str(source.task), sorted(DATASETS))}")
    try:
        # Tasks check their parameters by assertions and dataclass signatures.
        dataset = reasoning_gym.create_dataset(source.task, size=source.size, seed=source.seed, **source.params)
    except (AssertionError, TypeError, ValueError) as error:
        raise UserError(f"reasoning_gym task {source.task}: {error}") from None
    for index in range(source.size):
        yield f"{source.task}:{index}", dataset[index]


def _file_rows(source: SourceConfig) -> Iterator[PlacedRow]:
    path = Path(str(source.path))
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix not in READERS:
        raise UserError(f"{path}: must end in {' or '.join(READERS)}")
    yield from READERS[path.suffix](path)


def _jsonl_rows(path: Path) -> Iterator[PlacedRow]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"{path}:{number}", json_object(f"{path}:{number}", line)


def json_object(place: str, line: bytes, number: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The JSON object in one line of a file. `number`: makes values from numbers, by default int and float.

    Raises UserError, which begins with the place.
    """
    try:
        row = json.loads(line.rstrip().decode("utf-8-sig"), parse_int=number, parse_float=number)
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8: {error.reason}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not valid JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise UserError(f"{place}: not valid JSON: nested too deeply") from None
    if not isinstance(row, dict):
        raise UserError(f"{place}: must be a JSON object, not {type(row).__name__}")
    return row


def _parquet_rows(path: Path) -> Iterator[PlacedRow]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a parquet file: {error}") from None
    number = 0
    for batch in table.iter_batches():
        for row in batch.to_pylist():
            number += 1
            yield f"{path}: row {number}", row


def _hub_rows(source: SourceConfig) -> Iterator[PlacedRow]:
    import datasets

    try:
        dataset = datasets.load_dataset(source.path, revision=source.revision, split=source.split)
    except Exception as error:  # the library's errors share no base; each means that the data set cannot be loaded
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"data set {source.path}, split {source.split}: cannot be loaded: {reason}") from None
    for number, row in enumerate(dataset, 1):
        yield f"{source.path}: row {number}", row


READERS: dict[str, Callable[[Path], Iterator[PlacedRow]]] = {".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
SOURCES: dict[str, Callable[[SourceConfig], Iterator[PlacedRow]]] = {
    "reasoning_gym": _reasoning_gym_rows,
    "file": _file_rows,
    "hub": _hub_rows,
}
