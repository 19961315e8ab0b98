"""Answers in words: true and false, names and phrases, dates and times of day."""

import re
import unicodedata
from datetime import date, time

YES = frozenset(("true", "yes", "correct", "t", "y", "1"))
NO = frozenset(
    ("false", "no", "incorrect", "f", "n", "0", "not true", "not correct", "untrue", "not always", "not necessarily")
)
QUOTES = str.maketrans("’‘“”−", "''\"\"-")
SHORT = {
    "doesn't": "does not",
    "dne": "does not exist",
    "isn't": "is not",
    "can't": "cannot",
    "no solutions": "no solution",
}
MONTHS = "january february march april may june july august september october november december".split()
HEDGE = re.compile(r"\b(?:or|either|maybe|possibly|perhaps|unless|not|never|cannot|both|neither|nor|then|but)\b|/|\?")
WORD = re.compile(r"(?<![A-Za-z])(?=[A-Za-z]*[aeiouyAEIOUY])[A-Za-z]?[a-z]{2,}(?![A-Za-z])")
"""A word of a language, which has a vowel, and whose case means nothing; other letters are symbols."""
AFTERTHOUGHT = re.compile(
    r"\s*(?:[(—]|\.\s|,?\s*\b(?:because|since|as|which|due to|so that|i\.e\.|that is)\b).*", re.DOTALL
)
ANOTHER = re.compile(rf"\s*(?:{'|'.join(sorted(YES | NO))}|\d)\b")
"""A second truth value after the first."""


SUBJECT = re.compile(
    r"^(?:it|they|this|that|there|(?:the|this) (?:answer|limit|result|value|statement|series|sequence|integral|function"
    r"|graph|system|matrix|set|number|solution|process|reaction|rate))\b(?:'s| is| are)? +"
)


STATEMENT = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then),? )?"
    r"(?:(?:it|this|that|(?:the |this )?(?:statement|claim|answer|assertion|proposition|conjecture))(?: is|'s) )?"
)


def truth_of(text: str) -> bool | None:
    """True or False if the text states one of them, at most with a reason after it; else None."""
    said = plain(text).rstrip(".! ")
    head, *rest = re.split(r"[,;]| - ", said, maxsplit=1)
    reasoned = head if rest and not ANOTHER.match(rest[0]) else said
    for candidate in (said, AFTERTHOUGHT.sub("", reasoned).strip()):
        candidate = STATEMENT.sub("", candidate)
        stated = re.match("(true|false|correct|not true|not correct|incorrect) that ", candidate)
        if (stated[1] if stated else candidate) in YES | NO:
            return (stated[1] if stated else candidate) in YES
    return None


def plain(text: str) -> str:
    """The text in lower case, with single spaces and without LaTeX and Markdown layout."""
    text = unicodedata.normalize("NFKC", text).translate(QUOTES)
    text = re.sub(r"\\(?:text|mathrm|textbf|textit|mbox|emph)\s*\{([^{}]*)\}", r"\1", text)
    text = (
        text.replace("\\ ", " ").replace("\\$", "").replace("$", "").replace("**", "").replace("{", "").replace("}", "")
    )
    return " ".join(text.casefold().split())


def phrase(text: str) -> str:
    """The words without articles, quotes and punctuation; hyphens become spaces."""
    words = plain(text).strip("\"'`*.,;:!? ")
    words = re.sub(r"^(?:so|thus|hence|therefore),?\s+", "", words)
    words = SUBJECT.sub("", words)
    words = re.sub(r"(?<=\w)[-‐–](?=[^\W\d])|_", " ", words)
    for short, long in SHORT.items():
        words = re.sub(rf"\b{short}\b", long, words)
    words = re.sub(r"(?<!\d)[.,]|[.,](?!\d)|[\"'`!?;:()\[\]]", " ", words)
    return re.sub(r"\bthe +|\b(?:a|an) +(?=\w\w)", "", " ".join(words.split()))


def same_text(gold: str, answer: str) -> bool:
    """Whether two texts are equal as phrases, up to plurals and a reason or remark after the answer."""
    if formula := _formula(gold):
        bare = re.sub(r"[^A-Za-z0-9+-]", "", unicodedata.normalize("NFKC", answer).translate(QUOTES))
        if bare.casefold() == formula.casefold() or _formula(answer):
            return formula == _formula(answer) or formula == bare  # CO is not Co
    if not WORD.search(gold):
        return symbols(gold) == symbols(answer) != ""
    expected, actual = phrase(gold), phrase(answer)
    if not expected or not actual:
        return plain(gold) == plain(answer) != ""
    if expected == actual or _singular(expected) == _singular(actual) or _compact(expected) == _compact(actual):
        return True
    head = AFTERTHOUGHT.sub("", plain(answer)) if not HEDGE.search(plain(answer)) else ""
    return bool(head) and _singular(phrase(head)) == _singular(expected)


def symbols(text: str) -> str:
    """The letters and signs of a text that has no words."""
    text = re.sub(r"\\(?:text|mathrm|textbf|textit|mbox|emph)\s*\{([^{}]*)\}|[${}\s]", r"\1", text.translate(QUOTES))
    return text.rstrip(".,;:")


def _singular(words: str) -> str:
    return " ".join(re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", word) for word in words.split())


def _compact(words: str) -> str:
    return words.replace(" ", "") if re.search(r"[a-z]", words) else words


def _formula(text: str) -> str | None:
    """A chemical formula without its typesetting, in its own case; None for other text."""
    bare = re.sub(r"\\(?:mathrm|text|ce|mathbf)|[\\{}_$\s^]", "", unicodedata.normalize("NFKC", text).translate(QUOTES))
    return (
        bare
        if re.fullmatch(r"(?=.*\d|[A-Z][a-z]?[A-Z])(?:[A-Z][a-z]?\d*|\((?:[A-Z][a-z]?\d*)+\)\d*)+[+-]?", bare)
        else None
    )


def ion_of(text: str) -> str | None:
    """A formula with a charge, Fe^{3+} or Fe3+, without its typesetting; None for other text."""
    found = re.fullmatch(r"((?:[A-Z][a-z]?(?:_?\{?\d+\}?)?)+)\^?\{?(\d*[+-])\}?", text.replace(" ", ""))
    return re.sub(r"[_{}]", "", found[1]) + found[2] if found else None


def date_of(text: str) -> date | tuple[int, int] | None:
    """Parse a calendar date: a date, or (month, day) if it has no year; None for anything else."""
    if numeric := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text.strip()):
        text = f"{MONTHS[(int(numeric[1]) - 1) % 12]} {numeric[2]} {numeric[3]}"
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
    """Parse a time of day in 12 or 24 hours; None for anything else."""
    spoken = re.sub(
        r"\s+in the (morning|afternoon|evening)$", lambda m: " am" if m[1] == "morning" else " pm", plain(text)
    )
    found = re.fullmatch(r"(?:at )?(\d{1,2})(?::(\d{2}))?\s*([ap])?\.?\s*(m)?\.?", spoken)
    if not found or (found[2] is None and found[3] is None):
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None
