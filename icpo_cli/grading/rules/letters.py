"""Multiple choice: which option a text names, by letter or by the option's text."""

import re
from dataclasses import dataclass
from functools import lru_cache

from icpo_cli.grading.rules.tex import canonical
from icpo_cli.grading.rules.words import phrase, same_text
from icpo_cli.records import Gold, RuleName, Verdict, VerdictKind

NAMED = re.compile(
    r"(?:(?:the )?(?:correct |right |best )?(?:option|choice|answer)(?: is)?:?\s*)?"
    r"(?:\(\s*(?P<round>[A-Za-z])\s*\)|\[\s*(?P<square>[A-Za-z])\s*\]|(?P<bare>[A-Za-z])(?![A-Za-z']))"
    r"\s*(?P<mark>[.):,\]=-]*)(?:\s+|$|(?<=[.):=-])(?=[A-Za-z]{2}|[$\\]))(?P<text>.*)",
    re.DOTALL | re.IGNORECASE,
)
ANOTHER = re.compile(r"\(?[B-Z]\)?(?:[,.)]|$)|\([a-z]\)|[a-z](?:[,.)]|$)")
OR = re.compile(r"(?:or|and|nor)\b|[/&]", re.IGNORECASE)
REASON = re.compile(r"[-(:,]|because|since|is (?:the )?(?:correct|right|best|answer)", re.IGNORECASE)
STYLE = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|textrm|boldsymbol|bf|rm|it|left|right)(?![a-z])")


@dataclass(frozen=True)
class NamedOption:
    """An option's letter, and the text that follows it."""

    letter: str
    text: str = ""
    marked: bool = True
    """The letter is delimited, as in (B) or B: , so it is not a word of a sentence."""
    variable: bool = False
    """The letter is followed by an equals sign."""


@lru_cache(maxsize=4096)
def option_of(gold: Gold) -> NamedOption | None:
    """The option that a gold answer names, by letter or text; None if it names none of the question's."""
    return _by_text(gold.answer, gold.choices) or _by_letter(gold.answer, len(gold.choices))


def letters_verdict(gold: Gold, answer: str) -> Verdict:
    """Correct if the answer names the gold option and no other."""
    correct = option_of(gold)
    assert correct is not None  # gold_problem() has checked it
    if by_text := _by_text(answer, gold.choices) or _by_text(answer.rpartition(" is ")[2], gold.choices):
        return _verdict(by_text.letter == correct.letter, answer, f"the text of option {by_text.letter}")
    named = _by_letter(answer, len(gold.choices))
    if named is None:
        by_gold_text = bool(correct.text) and same_text(correct.text, answer)
        return _verdict(by_gold_text, answer, "the gold option's text" if by_gold_text else "names no single option")
    other = _by_text(named.text, gold.choices)
    if named.variable:
        by_value = other is not None and other.letter == correct.letter
        return _verdict(by_value, answer, "a variable with the gold option's value" if by_value else "a variable")
    if other is not None and other.letter != named.letter:
        return _verdict(False, answer, f"names {named.letter} and gives the text of {other.letter}")
    if not _belongs(named, gold):
        return _verdict(False, answer, "a sentence, not the name of an option")
    return _verdict(
        named.letter == correct.letter, answer, f"option {named.letter}; the gold option is {correct.letter}"
    )


def letters_of(text: str) -> tuple[str, ...] | None:
    """The letters, in order, of an answer that names several options and nothing else."""
    bare = re.sub(r"^(?:options?|choices?|answers?|both)\b:?", "", text.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"[\s(]*[A-H][)\s]*(?:(?:,|and|&|;|\s)*[\s(]*[A-H][)\s]*)+", bare):
        return None
    letters = re.findall(r"[A-H]", bare)
    return tuple(letters) if len(set(letters)) == len(letters) else None


def unlettered(text: str) -> str | None:
    """The text after an option's letter, as in (J) 816 Btu/hr; None if there is no such letter."""
    found = re.fullmatch(
        r"(?:option |choice )?(?:\([A-P]\)|[A-P](?:[.):]|(?<=option [A-P]),))\s*((?![,;&]|and\b)\S.*)", text
    )
    return found[1] if found else None


@lru_cache(maxsize=4096)
def _option_texts(choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phrase(canonical(choice)) for choice in choices)


def _by_text(text: str, choices: tuple[str, ...]) -> NamedOption | None:
    """The only option with this text."""
    texts = _option_texts(choices)
    said = phrase(canonical(text))
    if re.fullmatch(r"[a-z]?", said) or texts.count(said) != 1:
        return None
    return NamedOption(chr(ord("A") + texts.index(said)), text)


def _by_letter(text: str, count: int) -> NamedOption | None:
    """The option whose letter begins the text; None for none, several, or one beyond `count` options (0: no limit)."""
    found = NAMED.fullmatch(canonical(text)) or NAMED.fullmatch(STYLE.sub("", text).strip("{}$ "))
    if not found:
        return None
    letter = (found["round"] or found["square"] or found["bare"]).upper()
    rest = found["text"].strip()
    if ord(letter) - ord("A") >= (count or 26) or ANOTHER.match(rest) or OR.match(rest):
        return None
    marked = found["bare"] is None or bool(found["mark"].strip("-,"))
    return NamedOption(letter, rest, marked, variable=found["bare"] is not None and "=" in found["mark"])


def _belongs(named: NamedOption, gold: Gold) -> bool:
    """Whether the text after the letter can be the option's text or a reason."""
    if not named.text or REASON.match(named.text):
        return True
    if not gold.choices:
        return named.marked and re.search(r"(?<![a-z])or(?![a-z])", named.text, re.IGNORECASE) is None
    text = _option_texts(gold.choices)[ord(named.letter) - ord("A")]
    return named.marked or phrase(named.text) in text or text in phrase(named.text)


def _verdict(correct: bool, answer: str, reason: str) -> Verdict:
    return Verdict(VerdictKind.CORRECT if correct else VerdictKind.WRONG, answer, RuleName.LETTER, reason)
