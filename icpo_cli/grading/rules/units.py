"""Units of numbers: splitting them off, and conversion factors (pint)."""

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
TIME_OR_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)\.?")
NOT_UNITS = frozenset(
    """
    or and not no none never plus minus less more greater than least most to between into if when where is are
    was thousand million billion trillion hundred sin cos tan log ln exp approximately about
    """.split()
)
"""Words after a number that change its meaning."""
TAIL = re.compile(
    r"(?:\\(?:mu|Omega|circ|cdot|times|%|AA|ohm)|[A-Za-zµÅ%°¢]|\^\{?[+-]?\d+\}?|\^\{\\circ\}|[*/()·. -])+"
)
FACTORS = ("i", "j", "e", "x", "y", "n", "k")
"""Letters that after a number are a factor, not a unit."""
MAX_UNIT_CHARS = 60


def split_unit(text: str) -> tuple[str, str] | None:
    """Split a canonical text into value and unit, both not empty; None if it has no unit."""
    text = re.sub(r"^(-?\s*)(?:US)?\s*(USD|EUR|GBP|INR|JPY)\s*(?=[\d.])", lambda m: f"{CODES[m[2]]}{m[1]}", text)
    for sign, name in CURRENCY.items():
        if text.replace("-", "", 1).lstrip().startswith(sign):
            value = text.replace(sign, "", 1).strip()
            return (split_unit(value) or (value, ""))[0], name
        if text.endswith(sign):
            return text[: -len(sign)].strip(), name
    for match in re.finditer(r"(?<=[\d})!.])\s*(?=[A-Za-zµÅ%°¢\\^])|(?<=\\pi)\s+(?=[A-Za-z%])", text):
        value, unit = text[: match.start()].strip(), text[match.end() :].strip()
        if not value or len(unit) > MAX_UNIT_CHARS or not TAIL.fullmatch(unit) or unit in FACTORS or _continues(unit):
            continue
        if "%" in unit and not is_percent(unit):
            continue
        spaced = match.start() < match.end()  # 12 apples, but not 5abc
        if spaced or is_percent(unit) or is_degree(unit) or is_unit(unit):
            return value, unit
    words = text.rpartition(" ")
    while words[0]:
        if in_words(words[0]) is not None and words[2].isalpha() and words[2] not in NOT_UNITS:
            return words[0], text[len(words[0]) :].strip()
        words = words[0].rpartition(" ")
    return None


def _continues(unit: str) -> bool:
    """Whether the tail belongs to the number: an exponent, a product, or words that change its meaning."""
    if re.match(r"\^(?!\{\\circ\})|\\cdot|\\times|[eE][+-]?\d|[*/)]", unit):
        return True
    return any(word.lower() in NOT_UNITS for word in re.findall(r"[A-Za-z]+", unit) if word != "in")


def is_percent(unit: str) -> bool:
    return unit.replace("\\", "").strip().lower().rstrip("s") in ("%", "percent", "percentage", "pct")


def is_degree(unit: str) -> bool:
    return unit.replace(" ", "").lower() in (r"^{\circ}", "degree", "degrees", "deg", "°")


def may_be_dropped(unit: str) -> bool:
    """Whether the text is a unit or a noun (12 apples), not a factor (3i, 2e)."""
    return is_unit(unit) or re.search(r"[A-Za-z]{3}", unit) is not None


def is_unit(unit: str) -> bool:
    """Whether pint knows the unit, after SPELLINGS."""
    return _parsed(unit) is not None


def factor(source: str, target: str) -> Fraction | None:
    """Factor from `source` to `target`; None for different dimensions or unknown units."""
    left, right = _parsed(source), _parsed(target)
    if left is None or right is None or left.dimensionality != right.dimensionality:
        return None
    if left == right:
        return Fraction(1)
    try:
        # Conversion factors are floats; their last digits are noise.
        return Fraction(f"{_registry().Quantity(1.0, left).to(right).magnitude:.12g}")
    except (pint.PintError, ArithmeticError, ValueError):
        return None


def same_noun(left: str, right: str) -> bool:
    """Whether two units unknown to pint are equal up to case, spaces and plural."""

    def bare(unit: str) -> str:
        return "".join(word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]+|\d+", unit))

    return bare(left) == bare(right)


def compound(text: str) -> tuple[Number, str] | None:
    """The sum of 6 hours 24 minutes, 1h48m or 5 ft 3 in, in the unit of the first part."""
    parts = TIME_OR_LENGTH.findall(text)
    rest = re.sub(r"\band\b|[,\s]", "", TIME_OR_LENGTH.sub("", text))
    if len(parts) < 2 or rest:
        return None
    names = [{"m": "minute", "s": "second", "h": "hour", "d": "day"}.get(unit, unit) for _, unit in parts]
    if not any(unit in ("ft", "feet", "foot", "in", "inches", "lb", "oz") for unit in names) and not all(
        (known := _parsed(unit)) is not None and known.dimensionality == _parsed("second").dimensionality  # type: ignore[union-attr]
        for unit in names
    ):
        return None
    total = Fraction(0)
    for (amount, _), unit in zip(parts, names, strict=True):
        number, scale = literal(amount), factor(unit, names[0])
        if number is None or scale is None:
            return None
        total += number.value * scale
    return Number(total.limit_denominator(10**9)), names[0]


@cache
def _registry() -> pint.UnitRegistry:
    registry: pint.UnitRegistry = pint.UnitRegistry(cache_folder=None)
    for definition in DEFINITIONS:
        registry.define(definition)
    return registry


@cache
def _parsed(unit: str) -> "pint.Unit | None":
    try:
        return _registry().parse_units(_pint_syntax(unit))
    except Exception:  # pint passes on errors of Python's tokenizer; each means: not a unit
        return None


def _pint_syntax(unit: str) -> str:
    if is_percent(unit):
        return "percent"
    text = re.sub(r"\^\{\\circ\}\s*([CFK])(?![a-z])", r" deg\1 ", unit).replace("degK", "kelvin")
    text = re.sub(r"degrees?\s+(C|F|[Cc]elsius|[Ff]ahrenheit)\b", lambda m: f"deg{m[1][0].upper()}", text)
    text = text.replace(r"^{\circ}", " degree ").replace("°", " degree ").replace("¢", " cent ")
    text = (
        re.sub(r"\\mu\s*", "µ", text).replace(r"\Omega", " ohm ").replace(r"\AA", "angstrom").replace("Å", "angstrom")
    )
    text = re.sub(r"\\(?:cdot|times)|·", "*", text).replace("\\", "")
    text = re.sub(r"\bper\b", "/", text)
    text = re.sub(r"\b([kMGmnp])\s+ohm", r"\1ohm", text)
    text = re.sub(r"\b(square|sq\.?)\s+([A-Za-z]+)", r"\2**2", text)
    text = re.sub(r"\b(cubic|cu\.?)\s+([A-Za-z]+)", r"\2**3", text)
    text = re.sub(r"([A-Za-z]+)\s+squared", r"\1**2", text)
    text = re.sub(r"([A-Za-z]+)\s+cubed", r"\1**3", text)
    text = re.sub(r"(?<=[A-Za-z])([23])(?!\d)", r"**\1", text)
    text = re.sub(r"\^\{?([+-]?\d+)\}?", r"**\1", text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", "*", text)
    text = re.sub(r"[A-Za-zµ][A-Za-zµ_.]*[A-Za-zµ]|[A-Za-zµ]", lambda m: SPELLINGS.get(m[0], m[0]), text)
    text = re.sub(r"\s*([*/()])\s*", r"\1", text.strip())
    return re.sub(r"\s+", "*", text)
