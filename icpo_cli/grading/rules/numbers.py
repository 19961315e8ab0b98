"""Numbers in digits and words, with the precision they are written in, and tolerance to rounding."""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

MAX_CHARS = 64
"""Maximum characters of a number; a longer one is compared as text."""
MAX_EXPONENT = 300
"""Maximum power of ten, within the range of a float."""

DIGITS = r"(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
LITERAL = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<mantissa>{DIGITS})"
    r"(?:\s*[eE]\s*(?P<e>[+-]?\d+)|\s*(?:\\times|\\cdot|\*|x|X)\s*10\s*(?:\^\s*\{?\s*(?P<ten>[+-]?\d+)\s*\}?)?)?"
)
POWER_OF_TEN = re.compile(r"(?P<sign>[+-]?)\s*10\s*\^\s*\{?\s*(?P<ten>[+-]?\d+)\s*\}?")

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
ONES = {word: value for value, word in enumerate(NUMBER_WORDS.split())}
TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7}
PARTS |= {"eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000}


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
    if found := POWER_OF_TEN.fullmatch(text):
        ten = int(found["ten"])
        value = Fraction(10) ** ten if abs(ten) <= MAX_EXPONENT else None
        return None if value is None else Number(-value if found["sign"] == "-" else value, whole=ten >= 0)
    found = LITERAL.fullmatch(text)
    if not found or (found["mantissa"] is None):
        return None
    scientific = found["e"] is not None or "10" in text[found.end("mantissa") :]
    exponent = int(found["e"] or found["ten"] or (1 if scientific else 0))
    whole = "." not in found["mantissa"] and not scientific
    return _number(found["sign"], re.sub("[, ]", "", found["mantissa"]), exponent, whole)


def _number(sign: str, mantissa: str, exponent: int, whole: bool) -> Number | None:
    if abs(exponent) > MAX_EXPONENT:
        return None
    places = len(mantissa.partition(".")[2])
    value = Fraction(Decimal(mantissa)) * Fraction(10) ** exponent
    digits = len(mantissa.replace(".", "").lstrip("0"))
    return Number(-value if sign == "-" else value, Fraction(10) ** (exponent - places), digits, whole)


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
    if "and" in words[1:-1] and words[-1].removesuffix("s") in PARTS:
        cut = len(words) - 1 - words[::-1].index("and")
        whole, rest = _words(words[:cut]), _words(words[cut + 1 :])
        if whole is not None and rest is not None and rest < 1:
            return whole + rest
    if len(words) > 1 and words[-1].removesuffix("s") in PARTS | {"halve": 2}:
        part = PARTS.get(words[-1]) or PARTS.get(words[-1].removesuffix("s"))
        top = Fraction(1) if words[:-1] in (["a"], ["an"]) else _words(words[:-1])
        return None if top is None or part is None else top / part
    if len(words) == 1 and words[0] in PARTS:
        return Fraction(1, PARTS[words[0]])
    total, current, seen = Fraction(0), Fraction(0), False
    for word in words:
        number = literal(word) if word[0].isdigit() else None
        if number is not None and not seen:
            current = number.value
        elif word in ONES or word in TENS:
            current += ONES.get(word, TENS.get(word, 0))
        elif word == "hundred" and seen:
            current *= 100
        elif word in SCALES and seen:
            total, current = total + current * SCALES[word], Fraction(0)
        elif word == "and" and seen:
            continue
        else:
            return None
        seen = True
    return total + current if seen else None


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
    share = gap / abs(gold.value)
    if share < NOISE and not (gold.rational and answer.rational):
        return True
    return (
        (gold.quantum or answer.quantum) is not None
        and not gold.whole
        and (_gold_rounded(gold, answer, gap, share) or _answer_rounded(gold, answer, gap, share))
    )


NOISE = Fraction(1, 10**90)
"""Relative error of the value of a closed form."""
SLACK = 1 + Fraction(1, 10**9)
"""Tolerance for exactly half a unit in the last digit."""


def _gold_rounded(gold: Number, answer: Number, gap: Fraction, share: Fraction) -> bool:
    if gold.quantum is None or (answer.quantum is not None and answer.quantum >= gold.quantum):
        return False
    rounded = gap <= gold.quantum / 2 * SLACK and share < Fraction(1, 100)
    cut_off = answer.quantum is None and gold.digits >= 5 and gap < gold.quantum
    return rounded or cut_off


def _answer_rounded(gold: Number, answer: Number, gap: Fraction, share: Fraction) -> bool:
    if answer.quantum is None or answer.digits < 3 or gap > answer.quantum / 2 * SLACK:
        return False
    # 386 is a rounding of 386.4158898, but 104 is not one of $104.23.
    finer_by = 3 if answer.whole else 1
    return share < Fraction(1, 200) and (gold.quantum is None or gold.digits >= answer.digits + finer_by)
