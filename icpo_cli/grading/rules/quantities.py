"""Numbers with units, percent, currency, uncertainty or repeating digits, compared by value."""

import re
from fractions import Fraction

from icpo_cli.grading.rules import symbolic, units
from icpo_cli.grading.rules.numbers import SCALES, Number, in_words, literal, near_enough
from icpo_cli.grading.rules.symbolic import TooLarge, Unreadable

PI = Fraction("3.14159265358979323846264338327950288419716939937510582097")

REPEATING = re.compile(
    r"([+-]?\d*)\.(\d*?)"
    r"(?:\\overline\{?(\d+)\}?|\((\d+)\)|(\d+?)\5{1,}\s*\\ldots|\\dot\{?(\d)\}?|(\d+) repeating)"
)
SPREAD_IN_DIGITS = re.compile(r"([+-]?\d+(?:\.(\d+))?)\((\d+)\)")
"""98.0(1) means 98.0 +- 0.1."""
SPREAD = re.compile(r"\(?\s*([+-]?\d[\d.]*)\s*(?:\\pm|\+/-|\+-)\s*(\d[\d.]*)\s*\)?\s*([A-Za-z\\^{}].*)?")
SCALED = re.compile(rf"([+-]?[\d.,]+)\s*({'|'.join(SCALES)})")
ANNOTATED = re.compile(r"([a-z -]+?|[\d.,]+)\s*\((.+)\)")
RATIO = re.compile(r"(\d+(?:\.\d+)?|[a-z-]+)\s*(?::|\bto\b)\s*(\d+(?:\.\d+)?|[a-z-]+)")
CLOSED_FORM = re.compile(r"[^A-Za-z]*(?:(?:\\[A-Za-z]+|e|i)[^A-Za-z]*)*")
"""Digits, signs, commands and the constants e and i: no letter that could be a variable."""

BASES = {word: base for base, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
BASES |= {"twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "hexadecimal": 16}


def same_quantity(gold: str, answer: str) -> bool | None:
    """Compare two canonical texts as numbers, with units converted. Raises TooLarge.

    None if one of them is not a number.
    """
    for reading in (_same_spread, _same_measured, _same_ratio):
        same = reading(gold, answer)
        if same is not None:
            return same
    return None


def number_of(text: str) -> Number | None:
    """Parse digits, words, or a real closed form; None for anything else. Raises TooLarge."""
    text = text.strip()
    if found := literal(text) or in_words(text):
        return found
    if period := REPEATING.fullmatch(text):
        return Number(_repeating(period[1], period[2], next(filter(None, period.groups()[2:]))))
    if scaled := SCALED.fullmatch(text):
        base = literal(scaled[1])
        return None if base is None else _times(base, Fraction(SCALES[scaled[2]]))
    if twice := ANNOTATED.fullmatch(text):
        outer, inner = number_of(twice[1]), number_of(twice[2])
        return outer if outer is not None and inner is not None and near_enough(outer, inner) else None
    return _closed_form(text)


def quantity_of(text: str) -> tuple[Number, str] | None:
    """Parse a canonical text into (value, unit), unit "" for a bare number; None for anything else. Raises TooLarge."""
    if (bare := number_of(text)) is not None:
        return bare, ""
    if summed := units.compound(text):
        return summed
    parts = units.split_unit(text)
    if parts is None:
        return None
    value, unit = re.sub(r"(?<=\d)\s+10\s*\^", r" \\times 10^", parts[0]), parts[1]
    if power := re.match(r"10\s*\^\s*\{?([+-]?\d+)\}?\s*", unit):  # 2.6 $10^{-10} \mathrm{~N}$
        value, unit = rf"{value} \times 10^{{{power[1]}}}", unit[power.end() :]
    number = number_of(value)
    return None if number is None else (number, unit)


def float_of(text: str) -> tuple[float, str] | None:
    """quantity_of with a float value; None also if it is too large to evaluate."""
    try:
        quantity = quantity_of(text)
    except TooLarge:
        return None
    return None if quantity is None else (float(quantity[0].value), quantity[1])


def based_value(text: str) -> int | None:
    """The value of 52_8, (52)_{eight} or 52 (base 8); None for a number without a base."""
    text = re.sub(r"\s*\(?\s*(?:in )?base[\s-]*(\w+)\s*\)?$", r"_{\1}", text.replace(" _", "_"))
    text = re.sub(r"\s+in (octal|binary|hexadecimal)$", r"_{\1}", text)
    found = re.fullmatch(r"\(?([0-9A-Fa-f]{1,64})\)?_\{?\s*(\d{1,2}|[a-z]+)\s*\}?", text)
    if not found:
        return None
    base = int(found[2]) if found[2].isdigit() else BASES.get(found[2], 0)
    try:
        return int(found[1], base) if 2 <= base <= 36 else None
    except ValueError:
        return None


def _same_measured(gold: str, answer: str) -> bool | None:
    left, right = quantity_of(gold), quantity_of(answer)
    if left is None or right is None:
        return None
    (expected, expected_unit), (actual, actual_unit) = left, right
    if not expected_unit and not actual_unit:
        return near_enough(expected, actual)
    if not expected_unit or not actual_unit:
        return _same_without_unit((gold, expected, expected_unit), (answer, actual, actual_unit))
    scale = units.factor(actual_unit, expected_unit)
    if scale is not None:
        return near_enough(expected, _times(actual, scale))
    known = units.is_unit(expected_unit) and units.is_unit(actual_unit)
    return not known and units.same_noun(expected_unit, actual_unit) and near_enough(expected, actual)


def _same_without_unit(gold: tuple[str, Number, str], answer: tuple[str, Number, str]) -> bool:
    """Compare when one side has no unit: the other's may be omitted; percent and degrees may also be converted."""
    (gold_text, expected, expected_unit), (answer_text, actual, actual_unit) = gold, answer
    if units.is_degree(expected_unit) and r"\pi" in answer_text:
        return near_enough(expected, _times(actual, 180 / PI))
    if units.is_degree(actual_unit) and r"\pi" in gold_text:
        return near_enough(_times(expected, 180 / PI), actual)
    if units.is_percent(actual_unit):
        return near_enough(expected, _times(actual, Fraction(1, 100)))
    if units.is_percent(expected_unit):
        return near_enough(expected, actual) or near_enough(_times(expected, Fraction(1, 100)), actual)
    return units.may_be_dropped(expected_unit or actual_unit) and near_enough(expected, actual)


def _same_spread(gold: str, answer: str) -> bool | None:
    r"""Compare 41.8 \pm 0.3, with or without unit, by centre and uncertainty; None for other texts."""
    left, right = _centre_and_spread(gold), _centre_and_spread(answer)
    if left is None or right is None:
        return None
    return all(map(_same_measured, left, right))


def _centre_and_spread(text: str) -> tuple[str, str] | None:
    if short := SPREAD_IN_DIGITS.fullmatch(text):
        return short[1], str(float(Fraction(int(short[3]), 10 ** len(short[2] or ""))))
    found = SPREAD.fullmatch(text)
    if not found or "." not in found[1] + found[2]:
        return None
    unit = found[3] or ""
    return f"{found[1]} {unit}".strip(), f"{found[2]} {unit}".strip()


def _same_ratio(gold: str, answer: str) -> bool | None:
    """Compare 3:2 with 3/2 or 6:4; None if neither is a ratio, or one is not a number."""
    left, right = _ratio(gold), _ratio(answer)
    if left is None and right is None:
        return None
    left, right = left or number_of(gold), right or number_of(answer)
    return None if left is None or right is None else near_enough(left, right)


def _ratio(text: str) -> Number | None:
    found = RATIO.fullmatch(text)
    top, bottom = (number_of(found[1]), number_of(found[2])) if found else (None, None)
    return Number(top.value / bottom.value) if top and bottom and bottom.value else None


def _closed_form(text: str) -> Number | None:
    if re.search(r"%|\\circ|\\\$|[$€£¥¢]", text) or not re.search(r"\d|\\pi|(?<![A-Za-z])e(?![A-Za-z])", text):
        return None
    if not CLOSED_FORM.fullmatch(text) and not re.search(r"\\(?:sum|prod|int)", text):
        return None
    try:
        value = symbolic.value_of(text)
    except Unreadable:
        return None
    if value is None or not symbolic.is_real(value) or not abs(value.real) < 10**30:
        return None
    exact = symbolic.as_fraction(value.real)
    written = [digits.replace(".", "").lstrip("0") for digits in re.findall(r"\d*\.\d+", text)]
    if not written:
        return Number(exact)
    fewest = max(1, min(map(len, written)))
    return Number(exact, abs(exact) * Fraction(10) ** -fewest, fewest)


def _repeating(integer: str, plain: str, period: str) -> Fraction:
    """The value of 0.1(6), from its integer part, the digits before the period, and the period."""
    shift = 10 ** len(plain)
    head = Fraction(int(integer.lstrip("+-") or 0)) + Fraction(int(plain or 0), shift)
    value = head + Fraction(int(period), (10 ** len(period) - 1) * shift)
    return -value if integer.startswith("-") else value


def _times(number: Number, scale: Fraction) -> Number:
    quantum = None if number.quantum is None else number.quantum * abs(scale)
    return Number(number.value * scale, quantum, number.digits, number.whole and scale == 1)
