"""Numbers with units, percent, currency, uncertainty or repeating digits, compared by value."""

import re
from dataclasses import replace
from fractions import Fraction

from icpo_cli.grading.rules import units
from icpo_cli.grading.rules.arithmetic import TooLarge
from icpo_cli.grading.rules.brackets import split
from icpo_cli.grading.rules.numbers import Number, in_words, literal, near_enough
from icpo_cli.grading.rules.values import value_of

ANNOTATED = re.compile(r"([a-z -]+?|[\d.,]+) *\((.+)\)")
CLOCK = re.compile(r"\d{1,2}:[0-5]\d")
NO_NUMBER = re.compile(r"%|\\\$|[$€£¥¢']|(?<![A-Za-z\\])[A-DF-Zabcdfghj-z]")
"""Signs of units, and letters that are not the constants e and i."""

BASES = {word: base for base, word in enumerate("two three four five six seven eight nine ten".split(), start=2)}
BASES |= {"twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "hexadecimal": 16}


def same_quantity(gold: str, answer: str) -> bool | None:
    """Compare two canonical texts as numbers, with units converted, or as ratios. Raises TooLarge.

    None if one of them is not a number.
    """
    left, right = quantity_of(gold), quantity_of(answer)
    if left is None or right is None:
        return _same_ratio(gold, answer)
    (expected, unit), (actual, actual_unit) = left, right
    if bool(unit) != bool(actual_unit):
        return _same_without_unit(gold, answer, left, right)
    converted = units.converted(actual.value, actual_unit, unit) if unit != actual_unit else actual.value
    if converted is None:
        known = units.is_unit(unit) and units.is_unit(actual_unit)
        return not known and units.same_noun(unit, actual_unit) and near_enough(expected, actual)
    scale = converted / actual.value if actual.value else Fraction(1)
    # Conversion factors have twelve digits.
    by_conversion = scale != 1 and abs(converted - expected.value) <= abs(expected.value) / 10**11
    return by_conversion or near_enough(expected, replace(_times(actual, scale), value=converted))


def number_of(text: str) -> Number | None:
    """Parse digits, words, or a real closed form; None for anything else. Raises TooLarge."""
    text = text.strip()
    if found := literal(text) or in_words(text):
        return found
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
    value, unit = re.sub(r"(?<=\d) +10\^", r" \\times 10^", parts[0]), parts[1]
    if power := re.match(r"(10\^\{[+-]?\d+\}) *", unit):  # 2.6 $10^{-10} \mathrm{~N}$
        value, unit = rf"{value} \times {power[1]}", unit[power.end() :]
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
    text = re.sub(r" *\(? *(?:in )?base[ -]*(\w+) *\)?$|_\{? *\{?base *(\w+)\}?$", r"_{\1\2}", text.replace(" _", "_"))
    text = re.sub(r" +in (octal|binary|hexadecimal)$", r"_{\1}", text)
    found = re.fullmatch(r"\(?([0-9A-Fa-f]{1,64})\)?_\{ *(\d{1,2}|[a-z]+) *\}", text)
    if not found or (len(found[1]) == 1 and found[1].isalpha()):
        return None  # a_12 is a name
    base = int(found[2]) if found[2].isdigit() else BASES.get(found[2], 0)
    try:
        return int(found[1], base) if 2 <= base <= 36 else None
    except ValueError:
        return None


def _same_without_unit(gold: str, answer: str, left: tuple[Number, str], right: tuple[Number, str]) -> bool:
    """Compare when one side has no unit: the other's may be omitted; percent and degrees may also be converted."""
    (expected, unit), (actual, actual_unit) = left, right
    if units.is_degree(unit) and r"\pi" in answer:
        return near_enough(expected, _times(actual, DEGREES))
    if units.is_degree(actual_unit) and r"\pi" in gold:
        return near_enough(_times(expected, DEGREES), actual)
    if units.is_percent(actual_unit):
        return near_enough(expected, _times(actual, Fraction(1, 100)))
    if units.is_percent(unit):
        return near_enough(expected, actual) or near_enough(_times(expected, Fraction(1, 100)), actual)
    return units.may_be_dropped(unit or actual_unit) and near_enough(expected, actual)


def _same_ratio(gold: str, answer: str) -> bool | None:
    """Compare 3:2 with 3/2 or 6:4; None if neither is a ratio, or one is not a number."""
    if CLOCK.fullmatch(gold) and CLOCK.fullmatch(answer):
        return gold == answer
    left, right = _ratio(gold), _ratio(answer)
    if left is None and right is None:
        return None
    if left is None or right is None:
        ratio, other = left or right, number_of(answer if right is None else gold)
        return None if other is None or ratio is None or len(ratio) > 1 else near_enough(Number(ratio[0]), other)
    return left == right


def _ratio(text: str) -> list[Fraction] | None:
    """The parts of a ratio divided by its last."""
    parts = [number_of(part) for part in split(text, re.compile(r":|\bto\b"))] if ":" in text or " to " in text else []
    values = [part.value for part in parts if part is not None]
    return [value / values[-1] for value in values[:-1]] if len(values) == len(parts) > 1 and values[-1] else None


def _closed_form(text: str) -> Number | None:
    if NO_NUMBER.search(text):
        return None
    value = value_of(text)
    if value is None or abs(value.imag) > 1e-20 or not abs(value) < 10**400:
        return None
    rational = isinstance(value, Fraction)
    exact = (
        value
        if rational
        else Fraction(int(value.real.man)) * Fraction(2) ** value.real.exp * (-1 if value.real < 0 else 1)
    )
    written = [digits.replace(".", "").lstrip("0") for digits in re.findall(r"\d*\.\d+", text)]
    if not written:
        return Number(exact, whole=exact.denominator == 1, rational=rational)
    fewest = max(1, min(map(len, written)))
    return Number(exact, abs(exact) * Fraction(10) ** -fewest, fewest, rational=rational)


DEGREES = 180 / Fraction(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
)


def _times(number: Number, scale: Fraction) -> Number:
    quantum = None if number.quantum is None else number.quantum * abs(scale)
    return Number(number.value * scale, quantum, number.digits, number.whole and scale == 1, number.rational)
