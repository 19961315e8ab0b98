"""Extraction of the final answer from a response. Reads the response alone, never the prompt.

A passage is an answer tag, a box, a marked line or a sentence that states an answer. The last passage that states a
value counts. Every search is linear in the response's length: what follows or precedes a phrase is read in a window.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from icpo_cli.grading import phrases
from icpo_cli.grading.phrases import alternation, compiled, words
from icpo_cli.grading.rules.brackets import closings

OPENING, CLOSING, THOUGHT = "<answer>", "</answer>", "</think>"
MAX_STATEMENT_CHARS = 4000
"""Characters read after "the answer is"."""
MAX_READ_CHARS = 100_000
"""Characters at the end of a response in which sentences are searched."""
MAX_PHRASES = 60
"""Phrases of one form that are read, the last ones first."""
SPECIAL_TOKENS = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|gather|displaymath|center)\*?\}|<\|\w{2,30}\|>|<｜[\w▁]{2,30}｜>|</?s>|<(?:eos|bos|pad|unk|end_of_turn|start_of_turn)>|\[/?INST\]"
)
"""Also the commands around a displayed formula."""
UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
BOX = re.compile(r"(?:\\|(?<![A-Za-z]))(?:boxed|fbox|framebox)(?:\[[^\[\]\n]{0,20}\])?\s{0,9}\{|\x08oxed\{")
BOX_WITHOUT_BRACES = re.compile(r"\\boxed(?:\s{1,9}([^\s{}$\\]{1,99})|(\d{1,99})|\s?\[([^\[\]{}\n]{1,99})\](?!\s?\{))")
BETWEEN_BOXES = compiled(
    r"(?:[ \t,;$、，]|\\[,;: ()\[\]]|\\q?quad|\\(?:text|mbox|textrm)\s?\{\s?(?:and|or|und|oder|et|ou|y|o|e|и|или)\s?\}"
    r"|\b(?:and|or|und|oder|et|ou|y|o|e|и|или)\b|和|或|と|また|와|과|또는|और|या){0,20}(?:\\?\(?[A-Za-z]\w?\)?\s?=\s?)?"
)

SIGN = r"\s?(?:[:：=→⇒]|[–—-](?=\s))"
NOUN = compiled(
    rf"(?P<European>{words(alternation('noun', phrases.EUROPEAN))})"
    + "".join(rf"|(?P<{name}>{phrases.LANGUAGES[name].noun})" for name in phrases.OTHERS)
)
SAYS = {
    "European": compiled(
        rf"(?:\s?\([^()\n]{{1,30}}\))?[*_}}\s]{{0,4}}{SIGN}|[*_]{{0,3}}[^\n.:=<>{{}}\\$*]{{0,60}}?"
        rf"(?:{words(alternation('verb', phrases.EUROPEAN))}|:|(?<=\w)\s[–—-]\s)"
    )
} | {
    name: compiled(
        rf"[*_}}\s]{{0,4}}{SIGN}"
        rf"|[^\n.。।:：=<>{{}}\\$]{{0,{40 if name == 'Russian' else 12}}}?(?:{phrases.LANGUAGES[name].verb})"
    )
    for name in phrases.OTHERS
}
LABEL = compiled(
    r"\bans(?:\.|\s(?=[\d$\\]))|(?<!#)#{1,6}\s?(?:final )?answer\b|(?<!#)####(?!#)"
    r"|\*\*\s?(?:final )?answer[\s:]{0,3}\*\*"
)
AFTER = compiled(
    rf"(?<=[\s$)\]}}\w*])(?:{words(alternation('after', phrases.EUROPEAN))}|{alternation('after', phrases.OTHERS)})"
)
LEAD = compiled(
    rf"(?:[#>*\s-]{{0,6}})(?:{phrases.HENCE}\b[,，:、]?\s*|{phrases.HENCE}[,，、])?"
    r"(?:we |i |one )?(?:(?:get|obtain|have|find|conclude)s?(?: that)? )?(?:that )?"
)
SKIPPED = compiled(rf"[\s:：*>`]*(?:{phrases.FILLER}(?![^\W\d_])[\s,，:]*|[\s:：*`]+)*")
NEGATED = compiled(phrases.NEGATED)
UNREAL = compiled(rf"\b(?:{phrases.UNREAL})\b[^.,:;!?\n]{{0,20}}$")
NO_ANSWER = compiled(rf"(?:{phrases.NO_ANSWER})\b")
SENTENCE_END = re.compile(
    r"(?<![A-Z])[.!?](?:\*\*)?(?:\s+(?=[A-Z*\"'(])|\s*$)|(?<=[A-Z]\))\.|[。！？।]|\n"
    rf"|,?\s(?=(?:because|since|I hope)\b)|[,;，；]\s?(?=(?:{phrases.AFTERTHOUGHT}|因为|因為|から)(?![^\W\d_]))"
)
END = compiled(
    rf"(?:{alternation('end', tuple(phrases.LANGUAGES))}|\$?\\(?:blacksquare|square|qed)\s?\$?|\bq\.?e\.?d\.?)$"
)
MARKS = " \t\n.。！∎■□।*_`"
RATHER = compiled(r"(?:not|neither)\b[^\n]{1,60}?\bbut (?:rather |instead )?")
VALUE = compiled(
    r"[-+−±~≈]?\s?(?:[\d.√π∞∅$€£¥₹(\[{|]|\\(?!text|mbox)[a-z({\[$]|(?:true|false|yes|no|none)\b"
    r"|[a-z](?=\s*(?:[=<>.,;:+*/^_)\]-]|\\|$))|(?-i:[B-HJ-Z])(?=\s))"
)
FORMULA = re.compile(r"\$[^$]*\$|\\\(.*?\\\)|\\[A-Za-z]+|\d")
NOT_A_VALUE = compiled(r"\d+[.)]\s+[^\W\d]{2}|[^.]*\b(?:digits?|times|decimals?|significant|steps?|places?|figures?)\b")
SENTENCE = compiled(
    rf"[^\d$\\={{}}:]{{0,120}}?(?:\b(?:{phrases.VERBS})\s+|[a-z]{{3}}\s?[:=]\s*)"
    r"(?:exactly |only |just |equal to |a total of )?"
    rf"(?P<value>(?:[-−]?(?:\\?[$€£])?[\d.,]*\d|\$[^$]{{1,80}}\$|\\\(.{{1,80}}?\\\)|true|false)(?:[^\d$\\\n]{{0,30}}))"
)
HEDGE = compiled(words(phrases.HEDGES))
WRAPPER = re.compile(r"\s*\\(?:text|mbox|textbf|mathrm|textrm)\s?\{([^{}]*)\}\s*")
CLOSER = compiled(rf"\W{{0,4}}(?:{phrases.CLOSERS})")
CLOSING_TAG = re.compile(r"</?\w{2,}>$")
TRUTH = compiled(
    r"\W{0,4}(true|false|yes|no)\b\s?[;:—–-].*|\W{0,4}(?:so |hence |thus |therefore,? )?it is (true|false) that\b"
    rf"(?!.*\b(?:{phrases.HEDGES})\b).*"
)
DELIMITER = re.compile(r"\s*(?:\$\$|\\\]|\\\[|```\w*|</?\w+>|\\end\{\w+\*?\}|\\begin\{\w+\*?\}|[-*_=]{3,})\s*")

STYLE = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|textrm|bf|rm|it|boldsymbol)(?![a-z])|[{}$*_`\\]")
LONE = re.compile(r"\W{0,9}([A-Za-z])\W{0,9}|\s{0,9}\(?([A-Z])(?:\)|[.:](?=\s)).*", re.DOTALL)
OPTION = re.compile(r"(?<![A-Za-z’'\\])(?:<([A-Z])>|\(\s?([A-Za-z])\s?\)|\[([A-Z])\]|([A-Z]))(?![A-Za-z'’(])")
CHOSEN = compiled(
    rf"(?:\b(?:answer|option|choice)s?\b(?:\s{{1,3}}(?:is|would be|must be|should be)\b)?[\s:*]{{0,6}}"
    rf"(?:\b(?:option|choice)\b\s{{0,3}})?|\b(?:{alternation('choose', phrases.EUROPEAN)})\s{{1,3}}"
    rf"|(?:{alternation('choose', phrases.OTHERS)})\s{{0,3}}|(?<!\w){phrases.HENCE}[,，:]?\s{{0,3}})"
    r"[*_]{0,3}\$?(?:\\(?:text|textbf|mathbf|mathrm)\{)?$"
)
IS_RIGHT = compiled(
    rf"[)}}$*_\]]{{0,4}}\s{{0,3}}"
    rf"(?:{words(alternation('right', phrases.EUROPEAN))}|{alternation('right', phrases.OTHERS)})"
)
GOES_ON = re.compile(r"[)\]*$}\s]*(?:[a-z=<>+^_]|or\b|and\b)")
"""After an option's letter: it is part of a sentence or a formula."""


class Passage(NamedTuple):
    """A place in a response that may state the final answer."""

    start: int
    end: int
    text: str
    certain: bool
    """It states a value, so it overrides earlier passages."""


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
    if line is not None and _states_value(line):
        return line, True
    return (_within(max(passages).text), False) if passages else (line, False)


def _passages(text: str, letters: bool) -> list[Passage]:
    """All passages; what is said inside a tag or a box is part of it."""
    marked = [Passage(start, start + len(OPENING + inside), inside, True) for start, inside in tagged(text) if inside]
    marked += _boxes(text)
    skipped = max(0, len(text) - MAX_READ_CHARS)
    end = text[skipped:]
    stated = (*_stated(end), *_concluded(end), *(_chosen(end) if letters else ()))
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


def _stated(text: str) -> Iterator[Passage]:
    """Sentences such as "the answer is 7", from the last; the value may be on the next line."""
    nouns = deque(NOUN.finditer(text), maxlen=MAX_PHRASES)
    says = ((noun, SAYS[noun.lastgroup or ""].match(text, noun.end(), noun.end() + 120)) for noun in nouns)
    ends = [
        (noun.start(), verb.end())
        for noun, verb in says
        if verb and not NEGATED.search(verb[0]) and not UNREAL.search(text, max(0, noun.start() - 40), noun.start())
    ]
    ends += [found.span() for found in deque(LABEL.finditer(text), maxlen=MAX_PHRASES)]
    for start, end in sorted(ends, reverse=True):
        value = _value(text[end : end + MAX_STATEMENT_CHARS])
        if value and not NO_ANSWER.match(value):
            certain = _states_value(value)
            yield Passage(start, end, value, certain)
            if certain:
                return


def _concluded(text: str) -> Iterator[Passage]:
    """Sentences such as "7 is the answer": what comes before in the sentence."""
    for found in deque(AFTER.finditer(text), maxlen=MAX_PHRASES):
        before = text[max(0, found.start() - 300) : found.start()]
        start = max((end.end() for end in re.finditer(r"[.!?。]\s+|\n|。", before)), default=0)
        value = _trimmed(LEAD.sub("", before[start:], count=1))
        if value and _states_value(value):
            yield Passage(found.start() - len(before) + start, found.start(), value, True)


def _chosen(text: str) -> Iterator[Passage]:
    """Sentences that choose an option, such as "I would go with C" and "option C is correct"."""
    for found in deque(OPTION.finditer(text), maxlen=MAX_PHRASES):
        before, after = text[max(0, found.start() - 60) : found.start()], text[found.end() : found.end() + 60]
        if IS_RIGHT.match(after) or (CHOSEN.search(before) and not GOES_ON.match(after)):
            yield Passage(found.start(), found.end(), next(filter(None, found.groups())), True)


def _value(rest: str) -> str:
    """The value at the beginning of a text: to the end of the sentence, or the formula on the next line."""
    rest = rest[SKIPPED.match(rest).end() :]  # type: ignore[union-attr]  # matches the empty text too
    display = re.match(r"(?:\\\[|\$\$)(.*?)(?:\\\]|\$\$)", rest, re.DOTALL)
    if display:
        return display[1].strip()
    if rather := RATHER.match(rest):
        rest = rest[rather.end() :]
    end = SENTENCE_END.search(rest)
    return _trimmed(rest[: end.start()] if end else rest)


def _trimmed(text: str) -> str:
    """The text up to a bracket that it does not open, without marks of style and the end of its sentence."""
    text = _closed(text).rstrip()
    tail = text[-40:]
    for pattern in (CLOSING_TAG, END):
        tail = pattern.sub("", tail.rstrip(MARKS))
    return (text[:-40] + tail).rstrip(MARKS).lstrip("*_` ").strip('\u201c\u201d"')


def _closed(text: str) -> str:
    r"""The text up to a brace, \] or \) that it does not open, or a last dollar without a partner."""
    depth = {"}": 0, r"\]": 0, r"\)": 0}
    opens = {"{": "}", r"\[": r"\]", r"\(": r"\)"}
    for found in re.finditer(r"\\[\[\](){}]|[{}]", text):
        if closes := opens.get(found[0]):
            depth[closes] += 1
        elif found[0] in depth:
            depth[found[0]] -= 1
            if depth[found[0]] < 0:
                return text[: found.start()]
    text = text.rstrip()
    return text.rstrip("$") if text.endswith("$") and text.count("$") % 2 else text


def _states_value(text: str) -> bool:
    """Whether a text begins with a value and has few other words."""
    if not VALUE.match(text) or NOT_A_VALUE.match(text):
        return False
    return len(re.findall(r"[^\W\d_]{2,}", FORMULA.sub(" ", text[:400]))) <= 4


def _within(text: str) -> str:
    """The box inside an answer, or the value of an answer that is a sentence."""
    if box := boxed(text):
        return box
    wrapped = WRAPPER.fullmatch(text)
    bare = wrapped[1] if wrapped else text
    if " " not in bare.strip() or len(bare) > 300:
        return text
    stated = [passage for passage in (*_stated(bare), *_concluded(bare)) if passage.certain]
    return max(stated).text if stated else _value_of_sentence(bare) or text


def _value_of_sentence(text: str) -> str | None:
    """The number with its unit in a sentence that states just this, as in "he has 18 coins"; None for other texts."""
    if truth := TRUTH.fullmatch(text):
        return truth[1] or truth[2]
    found = SENTENCE.fullmatch(_trimmed(LEAD.sub("", text, count=1)))
    if not found or HEDGE.search(text):
        return None
    return found["value"].strip() if len(found["value"].split()) <= 4 else None


def _last_line(text: str) -> str | None:
    """The last line that is no closing remark, without what introduces its value."""
    lines = deque((line for line in text.splitlines() if line.strip() and not DELIMITER.fullmatch(line)), maxlen=9)
    if not lines:
        return None
    line = next((line for line in reversed(lines) if not CLOSER.match(line)), lines[-1]).strip()
    if len(line) > MAX_STATEMENT_CHARS:
        return line
    concluded = [passage.text for passage in _concluded(line)]
    sentence = re.split(r"(?<=[a-z\d])\.\s+(?=[A-Z])", line)[-1]
    return concluded[-1] if concluded else _value_of_sentence(sentence) or _conclusion(line)


def _conclusion(line: str) -> str:
    """The line without "therefore" before a value, and without a sign of the proof's end after it."""
    bare = line[LEAD.match(line).end() :]  # type: ignore[union-attr]  # matches the empty text too
    return _trimmed(bare if _states_value(bare) else line)


def _lone_letter(text: str) -> str | None:
    found = LONE.fullmatch(STYLE.sub("", text))
    return (found[1] or found[2]).upper() if found else None


def _cleaned(text: str) -> str:
    """The text without special tokens and invisible marks."""
    return SPECIAL_TOKENS.sub("\n", text.translate(UNSEEN))
