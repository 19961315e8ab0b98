"""Gold answers as data sets store them: the answer of a whole solution, an option's index, float32, damaged TeX."""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from icpo_cli.grading.extraction import boxed, stated, tagged
from icpo_cli.records import AnswerKind, Gold

MISSING = ("nan", "NaN", "null", "None", "<NA>")
"""Texts into which tables turn a missing value."""
DAMAGED = (
    (re.compile("\x0c(?=[a-z])"), r"\\f"),
    (re.compile("\x08(?=[a-z])"), r"\\b"),
    (re.compile(r"\t(?=(?:ext|frac|imes|heta)(?![a-z]))"), r"\\t"),
    (re.compile(r"\r(?=(?:ight|ho|angle)(?![a-z]))"), r"\\r"),
)
"""TeX commands whose first two characters JSON read as one control character: \\frac, \\binom, \\text, \\right."""
MARK = re.compile(r"####\s*(\S[^\n]*)")
LONG = 200
"""Characters from which a gold answer can be a whole solution."""
DECIMAL = re.compile(r"-?\d+\.\d{6,}(?:e[+-]?\d+)?")


def read_golds(golds: Sequence[Gold]) -> list[Gold]:
    """The golds of one source, read right; an empty answer for a missing value.

    If all golds of questions with options are small integers and not all are texts of options, they are indices. They
    count from 1 if one is the number of options and none is 0.
    """
    optional = [gold for gold in golds if gold.choices]
    indexed = all(map(_is_index, optional)) and not all(map(_is_text, optional))
    from_one = all(int(gold.answer) > 0 for gold in optional) if indexed else False
    first = int(from_one and any(int(gold.answer) == len(gold.choices) for gold in optional))
    read = [_option(gold, first) if indexed and gold.choices else read_gold(gold) for gold in golds]
    return [
        replace(gold, answer="") if gold.answer in MISSING and gold.answer not in gold.choices else gold
        for gold in read
    ]


@lru_cache(maxsize=4096)
def read_gold(gold: Gold) -> Gold:
    """The gold with its answer alone. An index of the options counts from 0."""
    if _is_index(gold) and not _is_text(gold):
        return _option(gold, first=0)
    text = gold.answer
    for pattern, command in DAMAGED:
        text = pattern.sub(command, text)
    text = _shortest(_answer_in(text.strip(), gold.kind))
    return gold if text == gold.answer.strip() else replace(gold, answer=text)


def _option(gold: Gold, first: int) -> Gold:
    """The option with this index as a letter; unchanged where there is none."""
    index = int(gold.answer) - first
    inside = 0 <= index < len(gold.choices)
    return replace(gold, answer=chr(ord("A") + index), kind=AnswerKind.LETTER) if inside else gold


def _is_index(gold: Gold) -> bool:
    may_be = bool(gold.choices) and gold.kind in (None, AnswerKind.LETTER) and re.fullmatch(r"\d{1,2}", gold.answer)
    return bool(may_be) and int(gold.answer) <= len(gold.choices)


def _is_text(gold: Gold) -> bool:
    """Whether the answer is the text of an option, or its number."""
    return any(
        _value(choice) == _value(gold.answer) or re.findall(r"\d+(?:\.\d+)?", choice) == [gold.answer]
        for choice in gold.choices
    )


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _answer_in(text: str, kind: AnswerKind | None) -> str:
    """The answer that a solution marks: by ####, a tag, a box, or in a long text by a sentence."""
    if marks := MARK.findall(text):
        return str(marks[-1]).strip()
    if tags := [inside for _, inside in tagged(text) if inside]:
        return tags[-1]
    if box := boxed(text):
        return box
    return stated(text) or text if len(text) > LONG and kind is not AnswerKind.TEXT else text


def _shortest(text: str) -> str:
    """The number that was stored as float32 or in binary, without the digits that this added."""
    if not DECIMAL.fullmatch(text):
        return text
    value, digits = float(text), len(re.sub(r"e.*|\D", "", text).lstrip("0"))
    if digits >= 9 and math.isfinite(value) and abs(value) < 1e38 and _float32(value) == value:
        for precision in range(1, 9):
            if _float32(float(short := f"{value:.{precision}g}")) == value:
                return _plain(short)
    short = f"{value:.15g}"
    return _plain(short) if digits >= 16 and len(re.sub(r"e.*|\D", "", short).strip("0")) <= 12 else text


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _plain(number: str) -> str:
    return format(Decimal(number), "f")
