"""Sentences that state an answer: the value after "the answer is", before "is the answer", or in a plain sentence.

What follows or precedes a phrase is read in a window of limited length, so each search is linear in its text.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from icpo_cli.grading import phrases
from icpo_cli.grading.phrases import alternation, compiled, words

MAX_STATEMENT_CHARS = 4000
"""Characters read after "the answer is"."""
MAX_PHRASES = 60
"""Phrases of one form that are read, the last ones first."""
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
    rf"{phrases.INVERTED}|\[answer\]|"
    r"\bans(?:\.|\s(?=[\d$\\]))|(?<!#)#{1,6}\s?(?:final )?answer\b|(?<!#)####(?!#)"
    r"|\*\*\s?(?:final )?answer[\s:]{0,3}\*\*"
)
AFTER = compiled(
    rf"(?<=[\s$)\]}}\w*])(?:{words(alternation('after', phrases.EUROPEAN))}|{alternation('after', phrases.OTHERS)})"
)
LEAD = compiled(
    rf"(?:\s{{0,9}}=>\s{{0,9}}|(?:[#>*\s∴⇒→]|-(?=\s)){{0,6}})(?:{phrases.HENCE}\b[,，:、]?\s*|{phrases.HENCE}[,，、])?"
    r"(?:we |i |one )?(?:(?:get|obtain|have|find|conclude)s?(?: that)? )?(?:that )?"
)
SKIPPED = compiled(
    r"(?:[\s:：*>`、，]{0,20}\n\s{0,9}[-•]\s)?[\s:：*>`、，]*"
    rf"(?:{phrases.FILLER}(?![^\W\d_])[\s,，:]*|[\s:：*`]+)*"
)
NEGATED = compiled(phrases.NEGATED)
UNREAL = compiled(rf"\b(?:{phrases.UNREAL})\b[^.,:;!?\n]{{0,20}}$")
NO_ANSWER = compiled(rf"(?:{phrases.NO_ANSWER})\b")
AFTERTHOUGHT = rf"[,;，；]\s?(?=(?:{phrases.AFTERTHOUGHT}|因为|因為|から)(?![^\W\d_]))"
SENTENCE_END = re.compile(
    r"(?<![A-Z])[.!?](?:\*\*)?(?:\s+(?=[A-Z*\"'(])|\s*$)|(?<=[A-Z]\))\.|[。！？।]|\n"
    rf"|(?<=\d):\s(?=[a-z])|,?\s(?=(?:because|since|I hope)\b)|{AFTERTHOUGHT}"
)
END = compiled(
    rf"(?:{alternation('end', tuple(phrases.LANGUAGES))}|\$?\\(?:blacksquare|square|qed)\s?\$?|\bq\.?e\.?d\.?)$"
)
MARKS = " \t\n.。！∎■□।*_`"
POINTER = compiled(r"(?:this|that|it|which|here|what|there|these|those)\b")
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
CLOSING_TAG = re.compile(r"</?\w{2,}>$")
TRUTH = compiled(
    r"(?:[^.\n]{1,200}, (?:so|hence|thus|therefore),? )?(true|false|yes|no)\W*"
    r"|\W{0,4}(true|false|yes|no)\b\s?[;:—–-].*|\W{0,4}(?:so |hence |thus |therefore,? )?it is (true|false) that\b"
    rf"(?!.*\b(?:{phrases.HEDGES})\b).*"
)
OPTION = re.compile(r"(?<![A-Za-z’'\\])(?:<([A-Z])>|\(\s?([A-Za-z])\s?\)|\[([A-Z])\]|([A-Z]))(?![A-Za-z'’(])")
CHOSEN = compiled(
    rf"(?:(?:{NOUN.pattern})(?:\s{{1,3}}(?:is|would be|must be|should be)\b)?[\s:*]{{0,6}}"
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


def stated_in(text: str) -> Iterator[Passage]:
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
            certain = states_value(value)
            yield Passage(start, end, value, certain)
            if certain:
                return


def concluded_in(text: str) -> Iterator[Passage]:
    """Sentences such as "7 is the answer": what comes before in the sentence."""
    for found in deque(AFTER.finditer(text), maxlen=MAX_PHRASES):
        before = text[max(0, found.start() - 300) : found.start()]
        start = max((end.end() for end in re.finditer(r"[.!?。]\s+|\n|。", before)), default=0)
        value = trimmed(re.sub(r",? (?:which|that|this|it)\s*$", "", LEAD.sub("", before[start:], count=1)))
        certain = states_value(value)
        if certain or (0 < len(value.split()) <= 3 and not POINTER.match(value)):
            yield Passage(found.start() - len(before) + start, found.start(), value, certain)


def chosen_in(text: str) -> Iterator[Passage]:
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
    return trimmed(rest[: end.start()] if end else rest)


def trimmed(text: str) -> str:
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


def states_value(text: str) -> bool:
    """Whether a text begins with a value and has few other words."""
    if not VALUE.match(text) or NOT_A_VALUE.match(text):
        return False
    return len(re.findall(r"[^\W\d_]{2,}", FORMULA.sub(" ", text[:400]))) <= 4


def value_of_sentence(text: str) -> str | None:
    """The number with its unit in a sentence that states just this, as in "he has 18 coins"; None for other texts."""
    if truth := TRUTH.fullmatch(text):
        return str(next(filter(None, truth.groups())))
    found = SENTENCE.fullmatch(trimmed(LEAD.sub("", text, count=1)))
    if not found or HEDGE.search(text):
        return None
    return found["value"].strip() if len(found["value"].split()) <= 4 else None


def conclusion(line: str) -> str:
    """The line without "therefore" before a value, and without a sign of the proof's end after it."""
    bare = line[LEAD.match(line).end() :]  # type: ignore[union-attr]  # matches the empty text too
    value = trimmed(re.split(AFTERTHOUGHT, bare, maxsplit=1)[0])
    return value if states_value(value) else trimmed(line)
