"""Reads the JSON lines of responses that `icpo grade` grades."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from icpo_cli.config.load import nearest
from icpo_cli.data.sources import json_object
from icpo_cli.errors import UserError
from icpo_cli.grading.verifier import Answer
from icpo_cli.records import AnswerKind, Gold
from icpo_cli.text import cut

STANDARD_INPUT = "-"


LabelledAnswer = tuple[str, Answer]
"""The id column of a line, or its number; and its answer."""


def answers_in(name: str, stream: IO[bytes], kind: AnswerKind | None) -> Iterator[LabelledAnswer]:
    """Every line that is not blank, from the first one on. Raises UserError naming file, line, column and mistake.

    `kind`: of the gold answers on lines without a kind column.
    """
    stream.seek(0)
    for number, line in enumerate(stream, 1):
        if line.strip():
            place = f"{name}:{number}"
            # Numbers keep their text: 4.50 is not 4.5, and 1e999 is not infinite.
            yield _answer(place, json_object(place, line, number=str), number, kind)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """Open the named file, or standard input; one that is not seekable is copied to a temporary file.

    The file is read twice: first to check and count its lines, then to grade them.
    """
    with ExitStack() as files:
        try:
            stream = sys.stdin.buffer if name == STANDARD_INPUT else files.enter_context(Path(name).open("rb"))
        except FileNotFoundError:
            raise UserError(f"{name}: no such file") from None
        except OSError as error:
            raise UserError(f"{name}: cannot be read: {error.strerror}") from None
        if name == STANDARD_INPUT or not stream.seekable():
            kept = files.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, kept)
            stream = kept
        yield stream


def kind_named(place: str, name: str) -> AnswerKind:
    """The answer kind of that name. Raises UserError with the nearest one."""
    kinds = [kind.value for kind in AnswerKind]
    if name not in kinds:
        raise UserError(f"{place}: unknown kind {_quoted(name)}{nearest(name, kinds)}")
    return AnswerKind(name)


def _answer(place: str, columns: dict[str, Any], number: int, kind: AnswerKind | None) -> LabelledAnswer:
    for name in ("gold", "response"):
        if name not in columns:
            raise UserError(f"{place}: no column '{name}' among {_quoted(list(columns))}")
    named = _text(place, columns, "kind")
    ordered = columns.get("ordered")
    if ordered not in (True, False, None):
        raise UserError(f"{place}: column 'ordered' is {_quoted(ordered)}, not true or false")
    gold = Gold(
        _required(place, columns, "gold"),
        kind if named is None else kind_named(f"{place}: column 'kind'", named),
        _texts(place, columns, "choices"),
        _texts(place, columns, "aliases"),
        ordered,
    )
    answer = Answer(_required(place, columns, "response"), gold, _text(place, columns, "question") or "")
    return _text(place, columns, "id") or str(number), answer


def _required(place: str, columns: dict[str, Any], name: str) -> str:
    text = _text(place, columns, name)
    if text is None:
        raise UserError(f"{place}: column '{name}' is null, not a text or a number")
    return text


def _text(place: str, columns: dict[str, Any], name: str) -> str | None:
    value = columns.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{place}: column '{name}' is {_quoted(value)}, not a text or a number")
    return value


def _texts(place: str, columns: dict[str, Any], name: str) -> tuple[str, ...]:
    values = columns.get(name)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{place}: column '{name}' is {_quoted(values)}, not a list of texts")
    return tuple(values)


def _quoted(value: Any) -> str:
    """The value as JSON, cut to 80 characters."""
    return cut(json.dumps(value), 80)
