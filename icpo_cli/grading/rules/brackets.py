"""Bracket matching in LaTeX text, and splitting outside all brackets."""

import re
from collections.abc import Iterator

BRACE = re.compile("[{}]")


def matching(text: str, start: int, pair: str = "{}") -> int:
    """Index of the bracket that closes the one at `start`, or -1."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "\\":
            continue
        if text[index] == pair[0] and not _escaped(text, index):
            depth += 1
        elif text[index] == pair[1] and not _escaped(text, index):
            depth -= 1
            if depth == 0:
                return index
    return -1


def closings(text: str) -> dict[int, int]:
    """{index of an opening brace: index of its closing brace}, in one pass."""
    pairs, open_braces = {}, []
    for found in BRACE.finditer(text):
        if _escaped(text, found.start()):
            continue
        if found[0] == "{":
            open_braces.append(found.start())
        elif open_braces:
            pairs[open_braces.pop()] = found.start()
    return pairs


def balanced(text: str) -> bool:
    """Whether every brace has a partner."""
    depth = 0
    for index, char in enumerate(text):
        if char in "{}" and not _escaped(text, index):
            depth += 1 if char == "{" else -1
            if depth < 0:
                return False
    return depth == 0


def depth_of(text: str) -> int:
    """Maximum nesting depth of brackets of any kind."""
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def split_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Split at the matches of `pattern` outside all brackets and LaTeX groups."""
    parts, start = [], 0
    for match in top_level(text, pattern):
        parts.append(text[start : match.start()])
        start = match.end()
    return [part.strip() for part in [*parts, text[start:]]]


def top_level(text: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Matches of `pattern` outside all brackets."""
    levels, depth = [], 0
    for index, char in enumerate(text):
        escaped = _escaped(text, index)
        if char in "([{" and not (escaped and char != "{"):
            depth += 1
        levels.append(depth)
        if char in ")]}" and not (escaped and char != "}"):
            depth = max(0, depth - 1)
    for match in pattern.finditer(text):
        if match.start() < match.end() and levels[match.start()] == 0:
            yield match


def _escaped(text: str, index: int) -> bool:
    """Preceded by an odd number of backslashes."""
    count = 0
    while index > count and text[index - count - 1] == "\\":
        count += 1
    return count % 2 == 1
