"""Extraction of the final answer from a response. Reads the response alone, never the prompt.

A passage is an answer tag, a box, a marked line or a sentence that states an answer. The last passage that states a
value counts. Every search is linear in the response's length: what follows or precedes a phrase is read in a window.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator

from icpo_cli.grading import phrases
from icpo_cli.grading.phrases import compiled
from icpo_cli.grading.rules.brackets import closings
from icpo_cli.grading.sentences import (
    MAX_PHRASES,
    MAX_STATEMENT_CHARS,
    Passage,
    chosen_in,
    concluded_in,
    conclusion,
    stated_in,
    states_value,
    value_of_sentence,
)

OPENING, CLOSING, THOUGHT = "<answer>", "</answer>", "</think>"
MAX_READ_CHARS = 100_000
"""Characters at the end of a response in which sentences are searched."""
SPECIAL_TOKENS = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|gather|displaymath|center)\*?\}|\\therefore(?![a-z])|<\|\w{2,30}\|>|<｜[\w▁]{2,30}｜>|</?s>|<(?:eos|bos|pad|unk|end_of_turn|start_of_turn)>|\[/?INST\]"
)
"""Also the commands around a displayed formula."""
TAG = compiled(r"<(/?)(?:final[_ ]?)?answer>")
UNSEEN = dict.fromkeys(map(ord, "∴\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
BOX = re.compile(r"(?:\\|(?<![A-Za-z]))(?:boxed|fbox|framebox)(?:\[[^\[\]\n]{0,20}\])?\s{0,9}\{|\x08oxed\{")
BOX_WITHOUT_BRACES = re.compile(r"\\boxed(?:\s{1,9}([^\s{}$\\]{1,99})|(\d{1,99})|\s?\[([^\[\]{}\n]{1,99})\](?!\s?\{))")
BETWEEN_BOXES = compiled(
    r"(?:[ \t,;$、，]|\\[,;: ()\[\]]|\\q?quad|\\(?:text|mbox|textrm)\s?\{\s?(?:and|or|und|oder|et|ou|y|o|e|и|или)\s?\}"
    r"|\b(?:and|or|und|oder|et|ou|y|o|e|и|или)\b|和|或|と|また|와|과|또는|और|या){0,20}(?:\\?\(?[A-Za-z]\w?\)?\s?=\s?)?"
)

WRAPPER = re.compile(r"\s*\\(?:text|mbox|textbf|mathrm|textrm)\s?\{([^{}]*)\}\s*")
CLOSER = compiled(rf"\W{{0,4}}(?:{phrases.CLOSERS})")
BOLD = re.compile(r"(?<!\S)\*\*(?=\S)([^*\n]*)\*\*")
DELIMITER = re.compile(r"\s*(?:\$\$|\\\]|\\\[|```\w*|</?\w+>|\\end\{\w+\*?\}|\\begin\{\w+\*?\}|[-*_=]{3,})\s*")

STYLE = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|textrm|bf|rm|it|boldsymbol)(?![a-z])|[{}$*_`\\]")
LONE = re.compile(r"\W{0,9}([A-Za-z])\W{0,9}|\s{0,9}\(?([A-Z])(?:\)|[.:](?=\s)).*", re.DOTALL)


def answer_tag(response: str) -> str | None:
    """The text of the only <answer> pair; None if there is none, several, or an empty one."""
    if response.count(OPENING) != 1 or response.count(CLOSING) != 1:
        return None
    return next((_cleaned(text).strip() or None for _, text in tagged(response)), None)


def tagged(response: str) -> Iterator[tuple[int, str]]:
    """(start, text) of each innermost <answer> pair. One pass, so linear in the response's length."""
    start = 0
    while (end := response.find(CLOSING, start)) >= 0:
        opened = response.rfind(OPENING, start, end)
        if opened >= 0:
            yield opened, response[opened + len(OPENING) : end].strip()
        start = end + len(CLOSING)


def boxed(response: str) -> str | None:
    r"""The content of the last \boxed{...} that is not empty, or of several side by side; None if one was cut off."""
    found = _boxes(response)
    return found[-1].text if found else None


def every_box(response: str) -> list[str]:
    """The content of each closed box, first to last, except those longer than any answer."""
    closed = closings(response)
    spans = [(found.end(), closed.get(found.end() - 1, -1)) for found in BOX.finditer(response)]
    return [response[start:end].strip() for start, end in spans if 0 <= end - start <= MAX_STATEMENT_CHARS]


def letter(response: str) -> str | None:
    """The option's letter stated last: in a tag or box, in a sentence, or alone on the last line."""
    text = _cleaned(response)
    stated = [(p.start, name) for p in _passages(text, letters=True) if (name := _lone_letter(p.text))]
    return max(stated)[1] if stated else _lone_letter(_last_line(text) or "")


def auto(response: str) -> str | None:
    """The last passage that states a value, else the last line; None for an empty response."""
    return _final(response, letters=False)


def option(response: str) -> str | None:
    """The same for a question with options: "I choose C" and "C is correct" state an answer too."""
    return _final(response, letters=True)


def stated(text: str) -> str | None:
    """The last passage that states a value; None if there is none."""
    answer, certain = _decided(_cleaned(text), letters=False)
    return answer if certain else None


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


def _final(response: str, letters: bool) -> str | None:
    text = _cleaned(response)
    _, _, said = text.rpartition(THOUGHT)
    final, certain = _decided(said, letters)
    if not certain and len(said) < len(text):
        earlier, certain = _decided(text, letters)
        final = earlier if certain or final is None else final
    return final


def _decided(text: str, letters: bool) -> tuple[str | None, bool]:
    """The final answer of a text, and whether it is certainly a value."""
    passages = _passages(text, letters)
    if certain := [passage for passage in passages if passage.certain]:
        return _within(max(certain).text), True
    line = _last_line(text)
    if line is not None and states_value(line):
        return line, True
    return (_within(max(passages).text), False) if passages else (line, False)


def _passages(text: str, letters: bool) -> list[Passage]:
    """All passages; what is said inside a tag or a box is part of it."""
    marked = [Passage(start, start + len(OPENING + inside), inside, True) for start, inside in tagged(text) if inside]
    marked += _boxes(text)
    skipped = max(0, len(text) - MAX_READ_CHARS)
    end = text[skipped:]
    stated = (*stated_in(end), *concluded_in(end), *(chosen_in(end) if letters else ()))
    placed = [p._replace(start=p.start + skipped, end=p.end + skipped) for p in stated]
    return marked + [p for p in placed if not any(m.start <= p.start < m.end for m in marked[-20:])]


def _boxes(text: str) -> list[Passage]:
    """The last box with a content, joined with those side by side before it; none if a later box was cut off."""
    found = deque(BOX.finditer(text), maxlen=MAX_PHRASES)
    bare = deque(BOX_WITHOUT_BRACES.finditer(text), maxlen=1)
    if bare and not (found and found[-1].start() > bare[-1].start()):
        return [Passage(bare[-1].start(), bare[-1].end(), next(filter(None, bare[-1].groups())), True)]
    if not found:
        return []
    closed = closings(text)
    last: Passage | None = None
    for opening in reversed(found):
        end = closed.get(opening.end() - 1, -1)
        inside = text[opening.end() : end].strip()
        if end < 0 or (last and (end > last.start or not BETWEEN_BOXES.fullmatch(text[end + 1 : last.start][:99]))):
            break
        if inside and not last:
            last = Passage(opening.start(), end, inside, True)
        elif inside and last:
            joined = last.text if inside in last.text.split(", ") else f"{inside}, {last.text}"
            last = Passage(opening.start(), last.end, joined, True)
    return [last] if last else []


def _within(text: str) -> str:
    """The box inside an answer, or the value of an answer that is a sentence."""
    if box := boxed(text):
        return box
    wrapped = WRAPPER.fullmatch(text)
    bare = wrapped[1] if wrapped else text
    if " " not in bare.strip() or len(bare) > 300:
        return text
    stated = [passage for passage in (*stated_in(bare), *concluded_in(bare)) if passage.certain]
    return max(stated).text if stated else value_of_sentence(bare) or text


def _last_line(text: str) -> str | None:
    """The last line that is no closing remark, without what introduces its value."""
    lines = deque((line for line in text.splitlines() if line.strip() and not DELIMITER.fullmatch(line)), maxlen=9)
    if not lines:
        return None
    line = BOLD.sub(r"\1", next((line for line in reversed(lines) if not CLOSER.match(line)), lines[-1])).strip()
    if len(line) > MAX_STATEMENT_CHARS:
        return line
    concluded = [passage.text for passage in concluded_in(line)]
    sentence = re.split(r"(?<=[a-z\d])\.\s+(?=[A-Z])", line)[-1]
    return concluded[-1] if concluded else value_of_sentence(sentence) or conclusion(line)


def _lone_letter(text: str) -> str | None:
    found = LONE.fullmatch(STYLE.sub("", text))
    return (found[1] or found[2]).upper() if found else None


def _cleaned(text: str) -> str:
    """The text without special tokens and invisible marks."""
    return TAG.sub(r"<\1answer>", SPECIAL_TOKENS.sub("\n", text.translate(UNSEEN)))
