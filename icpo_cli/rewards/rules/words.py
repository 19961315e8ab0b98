"""Answers that are words: letters of options, yes and no, names, dates and clock times."""

import re
import unicodedata
from datetime import date, time

YES = frozenset(("true", "yes", "correct", "t", "y", "1"))
NO = frozenset(("false", "no", "incorrect", "f", "n", "0", "not true", "not correct", "untrue"))
QUOTES = str.maketrans("’‘“”−", "''\"\"-")
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
HEDGE = re.compile(r"\b(?:or|either|maybe|possibly|perhaps|unless|not|never|cannot|both|neither|nor|then|but)\b|/|\?")
AFTERTHOUGHT = re.compile(r"\s*(?:[,(—]|\s-\s|\.\s|\b(?:because|since|as|which|due to|so that)\b).*", re.DOTALL)

LETTER = re.compile(
    r"(?:(?:the )?(?:correct |right |best )?(?:option|choice|answer)(?: is)?:?\s*)?"
    r"(?:\(\s*(?P<round>[A-Za-z])\s*\)|\[\s*(?P<square>[A-Za-z])\s*\]|(?P<bare>[A-Za-z])(?![A-Za-z']))"
    r"\s*(?:[.):,\]=-]+\s*|\s+|$)(?P<text>.*)",
    re.DOTALL | re.IGNORECASE,
)


def truth_of(text: str) -> bool | None:
    """True or False, where the text says one of them and no more than a reason after it."""
    said = plain(text).rstrip(".! ")
    for candidate in (said, AFTERTHOUGHT.sub("", said).strip()):
        candidate = re.sub(
            r"^(?:it is|it's|this is|that is|the statement is|the answer is|statement is)\s+", "", candidate
        )
        if candidate in YES:
            return True
        if candidate in NO:
            return False
    return None


def letter_of(text: str, count: int) -> tuple[str, str] | None:
    """The one option letter an answer names and the text after it; None for none, several or beyond `count` options."""
    found = LETTER.fullmatch(text.strip())
    if not found:
        return None
    letter = (found["round"] or found["square"] or found["bare"]).upper()
    rest = found["text"].strip()
    if ord(letter) - ord("A") >= (count or 26):
        return None
    if re.match(r"(?:or|and|,|/|&)\b|\(?[B-Za-z]\)?(?:[,.)]|$)", rest) and not re.match(r"[a-z]", rest):
        return None
    if re.match(r"(?:or|and|nor)\b", rest, re.IGNORECASE):
        return None
    return letter, rest


def plain(text: str) -> str:
    """Lower case, one space, no accents of layout: what two spellings of one text share."""
    text = unicodedata.normalize("NFKC", text).translate(QUOTES)
    text = re.sub(r"\\(?:text|mathrm|textbf|textit|mbox|emph)\s*\{([^{}]*)\}", r"\1", text)
    text = (
        text.replace("\\ ", " ").replace("\\$", "").replace("$", "").replace("**", "").replace("{", "").replace("}", "")
    )
    return " ".join(text.casefold().split())


def phrase(text: str) -> str:
    """Words alone: no article, quotes or closing punctuation; hyphens are spaces."""
    words = plain(text).strip("\"'`*.,;:!? ")
    words = re.sub(r"^(?:so|thus|hence|therefore),?\s+", "", words)
    words = re.sub(
        r"^(?:it|they|this|that|there|the (?:answer|limit|result|value|statement))\b(?:'s| is| are)?\s+", "", words
    )
    words = re.sub(r"[-‐–_]", " ", words)
    words = re.sub(r"(?<!\d)[.,]|[.,](?!\d)|[\"'`!?;:()\[\]]", " ", words)
    return " ".join(word for word in words.split() if word not in ("a", "an", "the"))


def same_text(gold: str, answer: str) -> bool:
    """Equal as phrases, but for plurals and a reason or a gloss after the answer."""
    if formula := _formula(gold):
        return formula == _formula(answer)
    wanted, given = phrase(gold), phrase(answer)
    if not wanted or not given:
        return plain(gold) == plain(answer) != ""
    if wanted == given or _singular(wanted) == _singular(given) or _compact(wanted) == _compact(given):
        return True
    head = AFTERTHOUGHT.sub("", plain(answer)) if not HEDGE.search(plain(answer)) else ""
    return bool(head) and _singular(phrase(head)) == _singular(wanted)


def _singular(words: str) -> str:
    return " ".join(re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", word) for word in words.split())


def _compact(words: str) -> str:
    return words.replace(" ", "") if re.search(r"[a-z]", words) else words


def _formula(text: str) -> str | None:
    """A chemical formula without its typesetting, case kept; None for other text."""
    bare = re.sub(r"\\(?:mathrm|text|ce|mathbf)|[\\{}_$\s^]", "", unicodedata.normalize("NFKC", text).translate(QUOTES))
    return (
        bare
        if re.fullmatch(r"(?=.*\d|[A-Z][a-z]?[A-Z])(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+[+-]?", bare)
        else None
    )


def letters_of(text: str) -> frozenset[str] | None:
    """The letters of an answer that names several options and nothing else."""
    bare = re.sub(r"^(?:options?|choices?|answers?|both)\b:?", "", text.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"[\s(]*[A-H][)\s]*(?:(?:,|and|&|;|\s)*[\s(]*[A-H][)\s]*)+", bare):
        return None
    letters = re.findall(r"[A-H]", bare)
    return frozenset(letters) if len(set(letters)) == len(letters) else None


def date_of(text: str) -> date | tuple[int, int] | None:
    """A calendar date with its month in words: with a year, or (month, day) without."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", plain(text)))
    words = [word for word in words if word not in ("the", "of", "on", "in")]
    months = [
        index for word in words for index, month in enumerate(MONTHS, 1) if len(word) >= 3 and month.startswith(word)
    ]
    numbers = [int(word) for word in words if word.isdigit()]
    if len(months) != 1 or len(words) != 1 + len(numbers) or len(numbers) not in (1, 2):
        return None
    days = [number for number in numbers if number <= 31]
    years = [number for number in numbers if number > 31]
    if len(days) != 1 or len(years) > 1:
        return None
    try:
        return date(years[0], months[0], days[0]) if years else (months[0], days[0])
    except ValueError:
        return None


def clock_of(text: str) -> time | None:
    """A time of day, 12 or 24 hours."""
    found = re.fullmatch(r"(?:at )?(\d{1,2})(?::(\d{2}))?\s*([ap])?\.?\s*(m)?\.?", plain(text))
    if not found or (found[2] is None and found[3] is None):
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None
