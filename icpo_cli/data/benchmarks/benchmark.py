"""The definition of a benchmark and of the sources that its questions can be read from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.records import Question


@dataclass(frozen=True)
class RawRow:
    """One row of a benchmark's data. A column of the wrong form raises UserError that names the row."""

    place: str
    """file:line, for messages."""
    number: int
    """From 0."""
    columns: dict[str, Any]

    def has(self, column: str) -> bool:
        return self.columns.get(column) is not None

    def value(self, column: str) -> Any:
        """The value at a path such as reward_model.ground_truth."""
        value: Any = self.columns
        for part in column.split("."):
            if not isinstance(value, dict) or part not in value:
                raise UserError(f"{self.place}: no column '{column}'{nearest(column, list(self.columns))}")
            value = value[part]
        return value

    def text(self, column: str) -> str:
        """A text or a number, as text; never empty."""
        value = self.value(column)
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise UserError(f"{self.place}: column '{column}' is {_type_shown(value)}, not a text or a number")
        return str(value)

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of two texts or more."""
        value = self.value(column)
        if not isinstance(value, list) or len(value) < 2 or not all(isinstance(item, str) for item in value):
            raise UserError(f"{self.place}: column '{column}' is {_type_shown(value)}, not a list of texts")
        return tuple(value)


@dataclass(frozen=True)
class HubDataset:
    """The address of a data set on the Hugging Face hub."""

    id: str
    split: str
    revision: str | None = None
    """None: the hub's default, where no revision is known to have been used for published numbers."""
    config: str | None = None
    file: str | None = None
    """The only file to load; None: all."""
    gated: bool = False


@dataclass(frozen=True)
class BenchmarkSource:
    """One form of a benchmark's data: its file name, its location on the hub, and how its rows are read."""

    stem: str
    """The file's name in the data folder, without .jsonl, .parquet or .csv."""
    read: Callable[[RawRow], Question | None]
    """None for a row that is not part of the benchmark."""
    hub: HubDataset | None = None
    rows: int | None = None
    """Rows in the file. None: the benchmark's question count."""
    draw: Callable[[list[Question]], list[Question]] | None = None
    """Draws the benchmark's sample from all questions of the file. None: all of them."""
    golds_sha256: str | None = None
    """Hash over id, options and gold of each question; None where the data was not available to compute it."""


@dataclass(frozen=True)
class Benchmark:
    """A set of questions with gold answers, how they are graded, and their known problems."""

    name: str
    title: str
    """The name in the paper's tables."""
    group: Literal["general", "math"]
    version: str
    """Raised whenever a question's text, a gold or the benchmark's own prompt changes."""
    count: int
    k: int
    """Responses per question, for the paper's Avg@k."""
    kinds: tuple[str, ...]
    """The answer kinds that occur."""
    sources: tuple[BenchmarkSource, ...]
    """In order of preference."""
    licence: str
    about: str
    pitfalls: tuple[str, ...]
    own_form: Callable[[Question], str]
    """The benchmark's usual zero-shot prompt, which says in what form to answer."""
    extract: str = "auto"
    rule: str = "strict"
    confidential: bool = False
    """Its authors ask that questions are not shown in plain text: no report, log or table may show them."""

    @property
    def golds_sha256(self) -> str | None:
        """The hash for the preferred source."""
        return self.sources[0].golds_sha256


def _type_shown(value: Any) -> str:
    """A value's type, for messages: the value itself may be confidential."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "empty" if value is None or not str(value).strip() else f"a {type(value).__name__}"
