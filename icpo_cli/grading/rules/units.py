"""Units of numbers: splitting them off, and conversion (pint)."""

import re
from fractions import Fraction
from functools import cache

import pint

from icpo_cli.grading.rules.numbers import Number, in_words, literal

DEFINITIONS = (
    "cent = 0.01 * dollar = ¢",
    "dollar = [dollar] = USD = dollars",
    "euro = [euro] = EUR = euros",
    "sterling = [sterling] = GBP",
    "rupee = [rupee] = INR",
    "yen = [yen] = JPY",
    "molar = mol / liter = M",
    "solar_mass = 1.98892e30 * kilogram = M_sun",
)
CURRENCY = {"\\$": "dollar", "$": "dollar", "€": "euro", "£": "sterling", "¥": "yen", "₹": "rupee"}
CODES = {"USD": "\\$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
SPELLINGS = {
    spelling: unit
    for unit, spellings in (
        line.split(":")
        for line in """
    hour: hr hrs h|second: sec secs|minute: mins|year: yr yrs|degree: deg degs degrees|radian: rad rads
    |kJ: kj KJ|kg: Kg KG kgs|km: Km KM kms|lb: lbs|force_pound: lbf|ampere: amp amps|ohm: ohms Ohm
    |percent: pct percentage|parsec: parsecs|angstrom: angstroms|foot**2: sqft|foot: feet ft|inch: inches in
    |mile/hour: mph|km/hour: kph kmph kmh|astronomical_unit: AU au A.U.|cm**3: cc|atm: atmospheres
    |gallon: gallons|meter: metres metre|liter: litre litres|cent: cents ¢|dollar: bucks|pound: pounds
    |rupee: rupees|degC: Celsius celsius|degF: Fahrenheit fahrenheit|kelvin: Kelvin|joule: Joules Joule
    |newton: Newtons Newton|watt: Watts Watt|volt: Volts Volt|pascal: Pascals Pascal|hertz: Hertz|tesla: Tesla
    |revolution: revolutions rev|day: days|: units unit
    """.strip()
        .replace("\n", "")
        .split("|")
    )
    for spelling in spellings.split()
}
"""Spellings of units that pint does not know, or mistakes for another."""
PINT_SYNTAX = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\^\{\\circ\} *([CF])(?![a-z])|(?<![A-Za-z])degrees? +([CF])(?:elsius|ahrenheit)?\b", r" deg\1\2 "),
        (r"\^\{\\circ\} *K(?![a-z])", " kelvin "),
        (r"\^\{\\circ\}", " degree "),
        (r"\\mu *", "µ"),
        (r"\\Omega", " ohm "),
        (r"\\AA|Å", "angstrom"),
        (r"\\(?:cdot|times)", "*"),
        (r"\\", ""),
        (r"\bper\b", "/"),
        (r"\b([kMGmnp]) +ohm", r"\1ohm"),
        (r"\b(?:square|sq\.?) +([A-Za-z]+)|([A-Za-z]+) +squared", r"\1\2**2"),
        (r"\b(?:cubic|cu\.?) +([A-Za-z]+)|([A-Za-z]+) +cubed", r"\1\2**3"),
        (r"(?<=[A-Za-z])([23])(?!\d)", r"**\1"),
        (r" ?\^\{([+-]?\d+)\}", r"**\1"),
        (r"(?<=[a-z])-(?=[a-z])", "*"),
    )
)
"""Rewrites of a unit for pint, in order."""
AMOUNT = re.compile(r"(\d+(?:\.\d+)?) *([A-Za-z]+)\.?")
NOT_UNITS = frozenset(
    """
    or and not no none never plus minus less more greater than least most to between into if when where is are
    was thousand million billion trillion hundred times fewer out squared cubed factorial sin cos tan log ln exp
    approximately about
    """.split()
)
"""Words after a number that change its meaning."""
TAIL = re.compile(r"(?:\\(?:mu|Omega|circ|cdot|times|%|AA|ohm)|[^\W\d_]|[%¢]|\^\{(?:[+-]?\d+|\\circ)\}|[*/(). -])+")
ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)[^a-z]*\^\{\\circ\}$")
"""Degrees that are the argument of a function."""
CONTINUED = re.compile(r"\^(?!\{\\circ\})|\\cdot|\\times|[eE][+-]?\d|[*/)]")
"""Exponent or product, which belongs to the number before it."""
PRIMES = {"'": ("foot", "arcminute"), "''": ("inch", "arcsecond")}
"""Unit of a prime: compared with a length, compared with an angle."""
FACTORS = ("i", "j", "e", "x", "y", "n", "k")
"""Letters that after a number are a factor, not a unit."""
MAX_UNIT_CHARS = 60


def split_unit(text: str) -> tuple[str, str] | None:
    """Split a canonical text into value and unit, both not empty; None if it has no unit."""
    text = re.sub(r"^(-? *)(?:US)? *(USD|EUR|GBP|INR|JPY) *(?=[\d.])", lambda m: f"{CODES[m[2]]}{m[1]}", text)
    for sign, name in CURRENCY.items():
        if text.replace("-", "", 1).lstrip().startswith(sign):
            bare = text.replace(sign, "", 1).strip()
            value, words = split_unit(bare) or (bare, "")
            return value, name if words in ("", name, f"{name}s") else f"{name} {words}"
        if text.endswith(sign):
            return text[: -len(sign)].strip(), name
    if ANGLE.search(text):
        return None
    if primes := re.fullmatch(r"(-?[\d.]+)('{1,2})", text):
        return primes[1], primes[2]
    for found in re.finditer(r"(?<=[\d})!.]) *(?=[^\W\d_]|[%¢\\^])|(?<=\\pi) +(?=[A-Za-z%])", text):
        value, unit = text[: found.start()].strip(), text[found.end() :].strip()
        spaced = found.start() < found.end()  # 12 apples, but not 5abc
        if value and _may_be_unit(unit) and (spaced or is_percent(unit) or is_degree(unit) or is_unit(unit)):
            return value, unit
    parts = text.split(" ")
    for count in range(len(parts) - 1, 0, -1):
        value, unit = " ".join(parts[:count]), " ".join(parts[count:])
        if parts[count].isalpha() and _may_be_unit(unit) and in_words(value) is not None:
            return value, unit
    return None


def _may_be_unit(unit: str) -> bool:
    """Whether a tail can be a unit: not an exponent, a factor, or words that change the number's meaning."""
    if len(unit) > MAX_UNIT_CHARS or not TAIL.fullmatch(unit) or unit in FACTORS or CONTINUED.match(unit):
        return False
    words = {word.lower() for word in re.findall("[A-Za-z]+", unit)}
    return not words & NOT_UNITS and ("%" not in unit or is_percent(unit))


def is_percent(unit: str) -> bool:
    return unit.replace("\\", "").strip().lower().rstrip("s") in ("%", "percent", "percentage", "pct")


def is_degree(unit: str) -> bool:
    return unit.replace(" ", "").lower() in (r"^{\circ}", "degree", "degrees", "deg")


def may_be_dropped(unit: str) -> bool:
    """Whether the text is a unit or a noun (12 apples), not a factor (3i, 2e)."""
    return is_unit(unit) or re.search(r"[A-Za-z]{3}|[^\W\d_](?<![A-Za-z])", unit) is not None


def is_unit(unit: str) -> bool:
    """Whether pint knows the unit, after SPELLINGS."""
    return _parsed(unit) is not None


def converted(value: Fraction, source: str, target: str) -> Fraction | None:
    """The value in another unit, temperatures with their offset; None for different dimensions or unknown units."""
    if source in PRIMES or target in PRIMES:
        degrees = is_degree(source) or is_degree(target)
        source, target = (PRIMES[unit][degrees] if unit in PRIMES else unit for unit in (source, target))
    left, right = _parsed(source), _parsed(target)
    if left is None or right is None or left.dimensionality != right.dimensionality:
        return None
    if left == right:
        return value
    try:
        offset = bool({left, right} & {_registry().degC, _registry().degF})
        amount = _registry().Quantity(float(value) if offset else 1.0, left).to(right).magnitude
        # Conversion factors are floats; their last digits are noise.
        return Fraction(f"{amount:.12g}") * (1 if offset else value)
    except (pint.PintError, ArithmeticError, ValueError):
        return None


def same_noun(left: str, right: str) -> bool:
    """Whether two units unknown to pint are equal up to case, spaces and plural."""

    def bare(unit: str) -> str:
        return "".join(word.lower().rstrip("s") for word in re.findall(r"[^\W\d_]+|\d+", unit))

    return bare(left) == bare(right)


def compound(text: str) -> tuple[Number, str] | None:
    """The sum of 6 hours 24 minutes, 1h48m, 5 ft 3 in or 30 degrees 15', in the unit of the first part."""
    text = re.sub(r"(\d+)\^\{\\circ\} ?(\d+)'(?!')", r"\1 degree \2 arcminute ", text).replace("''", " arcsecond")
    text = re.sub(r"^(\d+)' ?(\d+) arcsecond$", r"\1 foot \2 inch", text)
    names = {"m": "minute", "s": "second", "h": "hour", "d": "day"}
    parts = [(literal(amount), names.get(unit, unit)) for amount, unit in AMOUNT.findall(text)]
    if len(parts) < 2 or re.sub(r"\band\b|[, ]", "", AMOUNT.sub("", text)):
        return None
    kinds = {str(known.dimensionality) for _, unit in parts if (known := _parsed(unit)) is not None}
    if not kinds <= {"[time]", "[length]", "[mass]", "dimensionless"}:
        return None
    unit = parts[0][1]
    amounts = [converted(number.value, name, unit) for number, name in parts if number is not None]
    if None in amounts or len(amounts) != len(parts):
        return None
    return Number(sum(map(Fraction, filter(None, amounts)), Fraction(0)).limit_denominator(10**9)), unit


@cache
def _registry() -> pint.UnitRegistry:
    registry: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry


@cache
def _parsed(unit: str) -> "pint.Unit | None":
    for pattern, replacement in PINT_SYNTAX:
        unit = pattern.sub(replacement, unit) if not is_percent(unit) else "percent"
    unit = re.sub(r"[A-Za-zµ¢](?:[A-Za-zµ_.]*[A-Za-zµ])?", lambda name: SPELLINGS.get(name[0], name[0]), unit)
    unit = re.sub(r" +", "*", re.sub(r" *([*/()]) *", r"\1", unit.strip()))
    try:
        return _registry().parse_units(unit)
    except Exception:  # pint passes on errors of Python's tokenizer; each means: not a unit
        return None
