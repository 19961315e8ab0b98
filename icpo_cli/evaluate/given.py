"""Responses made elsewhere: a file of {"id", "responses": [text, ...], "bench"?} lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.load import nearest
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.sources import READERS
from icpo_cli.errors import UserError
from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import Stored


@dataclass(frozen=True)
class Given:
    """The file's responses by benchmark, and what no benchmark has asked."""

    responses: dict[str, dict[Key, Stored]]
    unknown: dict[str, tuple[str, ...]]
    """Ids by benchmark; those of lines that name none are every benchmark's."""
    unused: int
    """Responses past the k of their question."""


def read_responses(path: Path, tasks: Sequence[Task]) -> Given:
    """Raises UserError: malformed lines, an id twice, fewer responses to a question than its k."""
    by_name = {task.name: task for task in tasks}
    # Questions past eval.limit are known: they are only not asked.
    known = {name: {q.id for q in task.loaded.questions} for name, task in by_name.items()}
    asked = {name: {q.id for q in task.questions} for name, task in by_name.items()}
    found: dict[str, dict[Key, Stored]] = {name: {} for name in by_name}
    unknown: dict[str, list[str]] = {name: [] for name in by_name}
    places: dict[tuple[str, str], str] = {}
    unused = 0
    for place, row in _rows(path):
        name, texts = _text(row, "id", place), _responses(row, place)
        among = list(by_name) if row.get("bench") is None else _named(row["bench"], by_name, place)
        homes = [bench for bench in among if name in known[bench]]
        for bench in homes or among:
            if (bench, name) in places:
                raise UserError(f"{place}: id '{name}' appears twice, first at {places[bench, name]}")
            places[bench, name] = place
            if not homes:
                unknown[bench].append(name)
            elif name in asked[bench]:
                unused += max(0, len(texts) - by_name[bench].k)
                found[bench] |= _first_k(by_name[bench], name, texts, place)
    return Given(found, {each: tuple(ids) for each, ids in unknown.items()}, unused)


def _first_k(task: Task, name: str, texts: Sequence[str], place: str) -> dict[Key, Stored]:
    if len(texts) < task.k:
        raise UserError(
            f"{place}: question {name} has {len(texts)} responses, where {task.name} takes k = {task.k}; "
            f"give {task.k}, or set eval.k={max(1, len(texts))}"
        )
    return {(name, index): Stored(name, index, text) for index, text in enumerate(texts[: task.k])}


def _named(bench: object, asked: Mapping[str, Task], place: str) -> list[str]:
    """The benchmark of the line, if it is one that is asked."""
    if bench not in BENCHMARKS:
        raise UserError(f"{place}: unknown benchmark '{bench}'{nearest(str(bench), list(BENCHMARKS))}")
    return [str(bench)] if bench in asked else []


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise UserError(f"--responses {path}: no such file")
    rows = list(READERS[".jsonl"](path))
    if not rows:
        raise UserError(f"--responses {path}: holds no lines")
    return rows


def _text(row: dict[str, Any], column: str, place: str) -> str:
    value = row.get(column)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{place}: '{column}' must be a text, not {type(value).__name__}")
    return str(value)


def _responses(row: dict[str, Any], place: str) -> list[str]:
    texts = row.get("responses")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{place}: 'responses' must be a list of texts")
    return texts
