"""Extraction of the final answer from a response. Reads the response alone, never the prompt."""

import re
from collections import deque
from collections.abc import Callable, Iterator

from icpo_cli.grading.rules.brackets import closings, matching

OPENING, CLOSING = "<answer>", "</answer>"
BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
BOX_WITHOUT_BRACES = re.compile(r"\\boxed\s+([^\s{}$\\]+)")
STATED = re.compile(
    r"(?:\b(?:final |correct |right |best )?(?:answer|option|choice|result|solution)\b[^\n.:=<>{}\\$]{0,60}?"
    r"(?:\bis\b|\bare\b|\bequals\b|:)"
    r"|(?<!#)#{1,6}\s?(?:final )?answer\b|\*\*\s?(?:final )?answer[\s:]{0,3}\*\*|\bans(?:wer)?\s?[:=])"
    r"[\s:*]*(?:\b(?:therefore|thus|hence)\b,?\s*)?(?:\b(?:option|choice)\s+)?",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<![A-Z])[.!?](?:\*\*)?(?:\s+(?=[A-Z*\"'(])|\s*$)|\s+(?:because|since|I hope)\b|\n")
NOT_AN_ANSWER = re.compile(
    r"(?:correct|wrong|verified|confirmed|above|as follows|given|not|therefore|obtained|in the|consistent|valid"
    r"|unique)\b",
    re.IGNORECASE,
)
CHOICE = (
    r"\*{0,2}\s?(?:\\(?:text|textbf|mathbf|mathrm)\{\s?)?"
    r"(?:\(\s?([A-Za-z])\s?\)|\[\s?([A-Z])\s?\]|([A-Z]))(?![A-Za-z'’])\}?"
)
LETTER_STATED = re.compile(
    r"\b(?:answer|option|choice)s?\b(?:\s{1,3}(?:is|would be|must be|should be)\b)?[\s:*]{0,6}"
    rf"(?:\b(?:option|choice)\b\s{{0,3}})?{CHOICE}",
    re.IGNORECASE,
)
LONE = re.compile(r"\W{0,9}(?:\\(?:text|textbf|mathbf|mathrm)\{)?\(?\s?([A-Za-z])\s?\)?\}?\W{0,9}")
MAX_STATEMENT_CHARS = 4000
"""Characters read after "the answer is"."""
DELIMITER = re.compile(r"\s*(?:\$\$|\\\]|\\\[|```\w*|</?\w+>|\\end\{\w+\*?\}|\\begin\{\w+\*?\}|[-*_=]{3,})\s*")


def answer_tag(response: str) -> str | None:
    """The text of the only <answer> pair; None if there is none, several, or an empty one."""
    if response.count(OPENING) != 1 or response.count(CLOSING) != 1:
        return None
    return next((text or None for _, text in tagged(response)), None)


def tagged(response: str) -> Iterator[tuple[int, str]]:
    """(start, text) of each innermost <answer> pair. One pass, so linear in the response's length."""
    start = 0
    while (end := response.find(CLOSING, start)) >= 0:
        opened = response.rfind(OPENING, start, end)
        if opened >= 0:
            yield opened, response[opened + len(OPENING) : end].strip()
        start = end + len(CLOSING)


def boxed(response: str) -> str | None:
    r"""The content of the last \boxed{...}; None if there is none, or the last is empty or never closed."""
    found = _last(BOX, response)
    bare = _last(BOX_WITHOUT_BRACES, response)
    if bare is not None and (found is None or bare.start() > found.start()):
        return bare[1]
    if found is None:
        return None
    end = matching(response, found.end() - 1)
    return response[found.end() : end].strip() or None if end > 0 else None


def every_box(response: str) -> list[str]:
    """The content of each closed box, first to last, except those longer than any answer."""
    closed = closings(response)
    spans = [(found.end(), closed.get(found.end() - 1, -1)) for found in BOX.finditer(response)]
    return [response[start:end].strip() for start, end in spans if 0 <= end - start <= MAX_STATEMENT_CHARS]


def letter(response: str) -> str | None:
    """The choice letter stated last: in a tag or box, after "the answer is", or alone on the last line."""
    stated: list[tuple[int, str]] = []
    for start, text in tagged(response):
        stated += [(start, name) for name in [_lone_letter(text)] if name]
    if (box := _last(BOX, response)) and (name := _lone_letter(boxed(response) or "")):
        stated.append((box.start(), name))
    for found in LETTER_STATED.finditer(response):
        name = found[1] or found[2] or found[3]
        if name and name.isupper() and not re.match(r"\s+[a-z]", response[found.end() :]):
            stated.append((found.start(), name.upper()))
    if stated:
        return max(stated)[1]
    return _lone_letter(_last_line(response) or "")


def auto(response: str) -> str | None:
    """The last answer in any form, else the last line; None for an empty response."""
    found = [(start, text) for start, text in tagged(response) if text]
    if (box := _last(BOX, response)) and (inside := boxed(response)):
        found.append((box.start(), inside))
    elif (bare := _last(BOX_WITHOUT_BRACES, response)) and (inside := boxed(response)):
        found.append((bare.start(), inside))
    stated = _stated(response)
    if stated and not any(start < stated[0] < start + len(text) + len(OPENING) for start, text in found):
        found.append(stated)
    if found:
        answer = max(found)[1]
        return boxed(answer) or answer
    return _last_line(response)


def none(response: str) -> str | None:
    """The complete response."""
    return response.strip() or None


EXTRACTORS: dict[str, Callable[[str], str | None]] = {
    "answer_tag": answer_tag,
    "boxed": boxed,
    "letter": letter,
    "auto": auto,
    "none": none,
}


def _stated(response: str) -> tuple[int, str] | None:
    """(start, text) of the last "the answer is": the text to the end of the sentence, or on the next line."""
    for found in reversed(list(STATED.finditer(response))):
        rest = response[found.end() : found.end() + MAX_STATEMENT_CHARS].lstrip(" :*\n")
        if not rest or NOT_AN_ANSWER.match(rest):
            continue
        display = re.match(r"(?:\\\[|\$\$)(.*?)(?:\\\]|\$\$)", rest, re.DOTALL)
        end = SENTENCE_END.search(rest)
        answer = display[1] if display else rest[: end.start()] if end else rest
        answer = re.sub(r"</?\w+>\s*$", "", answer).strip().strip("*").strip()
        if answer:
            return found.start(), answer
    return None


def _last_line(response: str) -> str | None:
    for line in reversed(response.splitlines()):
        if line.strip() and not DELIMITER.fullmatch(line):
            return line.strip()
    return None


def _lone_letter(text: str) -> str | None:
    found = LONE.fullmatch(text) or re.fullmatch(r"\s*\(?([A-Z])[).:]\s.*", text, re.DOTALL)
    return found[1].upper() if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return deque(pattern.finditer(text), maxlen=1).pop() if pattern.search(text) else None
