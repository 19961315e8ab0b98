"""What a benchmark is, and the forms in which its questions are to be had."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.records import Question


@dataclass(frozen=True)
class Row:
    """A row of a benchmark's data, read by column. A column that is not as expected raises UserError with its place."""

    place: str
    """file:line, for messages."""
    number: int
    """From 0."""
    columns: dict[str, Any]

    def has(self, column: str) -> bool:
        return self.columns.get(column) is not None

    def value(self, column: str) -> Any:
        """At a path such as reward_model.ground_truth."""
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
            raise UserError(f"{self.place}: column '{column}' holds {_shown(value)}, not a text or a number")
        return str(value)

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of two texts or more."""
        value = self.value(column)
        if not isinstance(value, list) or len(value) < 2 or not all(isinstance(item, str) for item in value):
            raise UserError(f"{self.place}: column '{column}' holds {_shown(value)}, not a list of texts")
        return tuple(value)


@dataclass(frozen=True)
class Entry:
    """A question of a benchmark, with the order its options were put in."""

    question: Question
    option_order: tuple[int, ...] = ()
    """For each option as asked, its place (from 0) in the data. Empty where the data's own order is kept."""


@dataclass(frozen=True)
class Hub:
    """Where a data set stands on the Hugging Face hub."""

    id: str
    split: str
    revision: str | None = None
    """None where none is known to have been used for published numbers: the hub's default."""
    config: str | None = None
    file: str | None = None
    """The one file of it that is wanted."""
    gated: bool = False


@dataclass(frozen=True)
class Source:
    """One form of a benchmark's data: how its rows read, how the file is called here, where it is on the hub."""

    stem: str
    """The file's name in the data folder, without .jsonl, .parquet or .csv."""
    read: Callable[[Row], Entry | None]
    """None for a row that is not part of the benchmark."""
    hub: Hub | None = None
    rows: int | None = None
    """Rows before any is left out, where that is not the benchmark's count."""
    draw: Callable[[list[Entry]], list[Entry]] | None = None
    """The sample that the benchmark is of these rows."""
    golds_sha256: str | None = None
    """Over id, options and gold of each question, where the data was at hand to take it."""


@dataclass(frozen=True)
class Benchmark:
    """Questions with gold answers, how they are graded and what is known to go wrong with them."""

    name: str
    title: str
    """As the paper's tables print it."""
    group: Literal["general", "math"]
    version: str
    """Raised whenever the questions' texts, their golds or the own form change."""
    count: int
    k: int
    """Of the paper's Avg@k."""
    kinds: tuple[str, ...]
    """The answer kinds that occur."""
    sources: tuple[Source, ...]
    """In the order in which they are looked for."""
    licence: str
    about: str
    pitfalls: tuple[str, ...]
    own_form: Callable[[Question], str]
    """The benchmark's usual zero-shot request, which asks for the answer in a form of its own."""
    extract: str = "auto"
    rule: str = "strict"
    confidential: bool = False
    """Its authors ask that questions are not shown in plain text: no report, log or table may."""

    @property
    def golds_sha256(self) -> str | None:
        """Of the form that is looked for first."""
        return self.sources[0].golds_sha256


def _shown(value: Any) -> str:
    """What stands in a column, without quoting a text of it."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None or not str(value).strip() else f"a {type(value).__name__}"
