"""Tokens of TeX, bracket matching, and splitting outside all brackets. Every function is linear in its text."""

import re

TOKEN = re.compile(r"\\(?:[A-Za-z]+|.|$)|[A-Za-z]+|\d+|\s+|.", re.DOTALL)
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
PAIRS = {"(": ")", "[": "]", "{": "}"}
OPEN = frozenset(("(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil", r"\begin"))
CLOSE = frozenset((")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\end"))
HIDDEN = "\x03"


def matching(text: str, start: int) -> int:
    """Index of the bracket that closes the one at `start`, or -1."""
    opening, depth = text[start], 0
    for found in re.compile(rf"\\.|[{re.escape(opening + PAIRS[opening])}]", re.DOTALL).finditer(text, start):
        depth += (found[0] == opening) - (found[0] == PAIRS[opening])
        if depth == 0:
            return found.start()
    return -1


def closings(text: str) -> dict[int, int]:
    """{index of an opening brace: index of its closing brace}, in one pass."""
    pairs, opened = {}, []
    for found in BRACE.finditer(text):
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}" and opened:
            pairs[opened.pop()] = found.start()
    return pairs


def balanced(text: str) -> bool:
    """Whether every brace has a partner."""
    braces = [brace for brace in BRACE.findall(text) if brace in "{}"]
    return braces.count("{") == braces.count("}") == len(closings(text))


def masked(text: str) -> str:
    r"""The text with HIDDEN for every character in brackets, \{ and \langle included, and for the brackets."""
    depth, parts = 0, []
    for token in TOKEN.findall(text):
        closes = token in CLOSE
        depth += token in OPEN
        parts.append(HIDDEN * len(token) if depth or closes else token)
        depth = max(0, depth - closes)
    return "".join(parts)


def split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Split at the matches of `pattern` outside all brackets."""
    parts, start = [], 0
    for found in pattern.finditer(masked(text)):
        parts.append(text[start : found.start()].strip())
        start = found.end()
    return [*parts, text[start:].strip()]
