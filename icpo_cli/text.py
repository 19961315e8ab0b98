"""Untrusted text made safe to display, and numbers, lists and durations in words.

Formats escape their own special characters.
"""

import math
from collections.abc import Sequence
from typing import Any

CONTROLS = [code for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
INVISIBLE = [0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
"""Direction marks and zero-width spaces."""
SURROGATES = range(0xD800, 0xE000)
"""Halves of a character; UTF-8 cannot encode them."""
REPLACED = {code: f"⟨U+{code:04X}⟩" for code in (*CONTROLS, *INVISIBLE)}
REPLACED |= dict.fromkeys(SURROGATES, "\N{REPLACEMENT CHARACTER}")
UNITS = (
    ("s", 1.0, 90.0),
    ("min", 60.0, 90.0),
    ("h", 3600.0, 48.0),
    ("days", 86400.0, 700.0),
    ("years", 31557600.0, 0.0),
)
"""Name, seconds, and the count from which the next unit is used; 0: never."""


def printable(text: str) -> str:
    """Replace control codes, line breaks and direction marks."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def one_line(text: str) -> str:
    """`printable` text in which each run of white space is one space."""
    return printable(" ".join(text.split()))


def visible(text: str) -> str:
    """Show control codes and invisible marks as ⟨U+001B⟩; line breaks and tabs are kept."""
    return text.replace("\r\n", "\n").translate(REPLACED)


def shortened(text: str, head: int, tail: int) -> str:
    """Keep `head` characters from the start and `tail` from the end, and say how many are left out between them."""
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    return f"{text[:head]}\n[… {left_out:,} characters left out …]\n{text[len(text) - tail :]}"


def cut(text: str, most: int) -> str:
    """At most `most` characters, the last of which shows that more follow."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names, and the number of all if there are more: a, b, ... (12 in all)."""
    return ", ".join(names[:most]) + (f", ... ({len(names):,} in all)" if len(names) > most else "")


def number(value: float, form: str = ".1f", unknown: str = "-") -> str:
    """A number in a format; `unknown` for NaN."""
    return unknown if math.isnan(value) else f"{value:{form}}"


def known(value: Any) -> Any:
    """The value for JSON: None for a number that is not finite, in dicts and lists too."""
    if isinstance(value, dict):
        return {key: known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def duration(seconds: float | None) -> str:
    """Approximate duration in a unit that keeps the number short: about 3 min."""
    if seconds is None:
        return "unknown duration"
    name, size, _ = next(unit for unit in UNITS if seconds < unit[1] * unit[2] or unit[2] == 0)
    return f"about {seconds / size:.2g} {name}" if seconds < 10 * size else f"about {seconds / size:,.0f} {name}"
