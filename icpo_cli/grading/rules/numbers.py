"""Numbers in digits and words, with the precision they are written in, and tolerance to rounding."""

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARS = 64
"""Maximum characters of a number; a longer one is compared as text."""
MAX_EXPONENT = 300
"""Maximum power of ten, within the range of a float."""

DIGITS = r"(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
LITERAL = re.compile(
    rf"(?P<sign>[+-]?) ?(?P<mantissa>{DIGITS})"
    r"(?: ?[eE] ?(?P<e>[+-]?\d+)|(?P<ten> ?(?:\\times|\\cdot|\*|x|X) ?10(?:\^\{?(?P<power>[+-]?\d+)\}?)?))?"
)
POWER_OF_TEN = re.compile(r"([+-]?) ?10\^\{?([+-]?\d+)\}?")

ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen""".split()
TENS = ["", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split()]
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7}
PARTS |= {"halve": 2, "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000}


@dataclass(frozen=True)
class Number:
    """A value, and the precision it is written with."""

    value: Fraction
    quantum: Fraction | None = None
    """One unit in the last written digit; None for an exact form (a fraction, a root, a power of ten, a word)."""
    digits: int = 0
    """Written significant digits; 0 for an exact form."""
    whole: bool = False
    """An integer, written without a decimal point or power of ten."""
    rational: bool = True
    """The value is exact; else it is that of a closed form to more than 100 digits."""


def literal(text: str) -> Number | None:
    """Parse decimal or scientific notation, with thousands separators allowed; None for anything else."""
    text = text.strip().rstrip(".")
    if not text or len(text) > MAX_CHARS or not text.isascii():
        return None
    if power := POWER_OF_TEN.fullmatch(text):
        exponent = int(power[2])
        value = Fraction(10) ** exponent if abs(exponent) <= MAX_EXPONENT else None
        return None if value is None else Number(-value if power[1] == "-" else value, whole=exponent >= 0)
    found = LITERAL.fullmatch(text)
    exponent = int(found["e"] or found["power"] or bool(found["ten"])) if found else 0
    if not found or abs(exponent) > MAX_EXPONENT:
        return None
    mantissa = re.sub("[, ]", "", found["mantissa"])
    unit = Fraction(10) ** (exponent - len(mantissa.partition(".")[2]))
    digits = mantissa.replace(".", "")
    whole = "." not in mantissa and not found["e"] and not found["ten"]
    return Number(int(f"{found['sign']}{digits}") * unit, unit, len(digits.lstrip("0")), whole)


def in_words(text: str) -> Number | None:
    """Parse twenty-five, two hundred and six, 2.25 billion, one half, two-thirds; None for anything else."""
    lowered = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text.lower())
    words = re.findall(r"[a-z]+|[\d.,]+", lowered)
    if not words or len(words) > 12 or re.sub(r"[a-z\d.,\s]", "", lowered):
        return None
    negative = words[0] in ("minus", "negative")
    value = _words(words[1:] if negative else words)
    return None if value is None else Number(-value if negative else value)


def _words(words: list[str]) -> Fraction | None:
    part = PARTS.get(words[-1]) or PARTS.get(words[-1].removesuffix("s")) if words else None
    if part and "and" in words[1:-1]:
        cut = len(words) - 1 - words[::-1].index("and")
        whole, rest = _words(words[:cut]), _words(words[cut + 1 :])
        if whole is not None and rest is not None and rest < 1:
            return whole + rest
    if part:
        top = Fraction(1) if words[:-1] in ([], ["a"], ["an"]) else _words(words[:-1])
        return None if top is None else top / part
    total, current = Fraction(0), None
    for word in words:
        number = literal(word) if word[0].isdigit() and current is None else None
        if number is not None:
            current = number.value
        elif word in ONES or word in TENS:
            current = (current or 0) + Fraction(ONES.index(word) if word in ONES else 10 * TENS.index(word))
        elif word == "hundred" and current is not None:
            current *= 100
        elif word in SCALES and current is not None:
            total, current = total + current * SCALES[word], Fraction(0)
        elif word != "and" or current is None:
            return None
    return None if current is None else total + current


def near_enough(gold: Number, answer: Number) -> bool:
    """Whether two numbers are equal, or one is a rounding of the other.

    Exact forms are equal only if their values are. A decimal gold equals every more precise number that rounds to it,
    within 1 % (0.53 and 10/19); one of five digits or more also equals the number that it truncates. An exact gold
    that is no integer, or a gold with more digits than the answer, equals its own rounding to three digits or more.
    An integer gold equals only itself.
    """
    if gold.value == answer.value:
        return True
    if gold.value * answer.value <= 0:
        return False
    gap = abs(gold.value - answer.value)
    if gap < NOISE * abs(gold.value) and not (gold.rational and answer.rational):
        return True
    return not gold.whole and (_gold_rounded(gold, answer, gap) or _answer_rounded(gold, answer, gap))


NOISE = Fraction(1, 10**90)
"""Relative error of the value of a closed form."""
HALF = Fraction(1, 2) + Fraction(1, 10**9)
"""Half a unit in the last digit."""


def _gold_rounded(gold: Number, answer: Number, gap: Fraction) -> bool:
    if gold.quantum is None or (answer.quantum is not None and answer.quantum >= gold.quantum):
        return False
    rounded = gap <= gold.quantum * HALF and gap * 100 < abs(gold.value)
    return rounded or (answer.quantum is None and gold.digits >= 5 and gap < gold.quantum)


def _answer_rounded(gold: Number, answer: Number, gap: Fraction) -> bool:
    if answer.quantum is None or answer.digits < 3 or gap > answer.quantum * HALF or gap * 200 >= abs(gold.value):
        return False
    # 386 is a rounding of 386.4158898, but 104 is not one of $104.23.
    return gold.quantum is None or gold.digits >= answer.digits + (3 if answer.whole else 1)
