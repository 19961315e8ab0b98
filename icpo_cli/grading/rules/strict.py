"""icpo's own rule, by kind of answer. `quick` runs in any process, `thorough` only in the sandbox."""

import re
from collections.abc import Callable
from functools import lru_cache

from icpo_cli.grading.rules.brackets import balanced
from icpo_cli.grading.rules.letters import letters_verdict, option_of, unlettered
from icpo_cli.grading.rules.numbers import in_words, literal, near_enough
from icpo_cli.grading.rules.tex import canonical
from icpo_cli.grading.rules.words import NO, WORD, YES, phrase, plain, same_text, truth_of
from icpo_cli.records import AnswerKind, Gold, RuleName, Verdict, VerdictKind

MAX_ANSWER_CHARS = 2000
"""Maximum characters of a final answer."""
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control codes, bidirectional overrides and lone surrogates: text that does not look like what it is."""
CODE = re.compile(
    r"__\w+__|(?<!\\)\b(?:(?:eval|exec|open|os\.system)\b\s*\(|import\s+[\w.]+\s*(?:[;,(]|as\b|$)|lambda\b[\w\s,]*:)"
    r"|\\(?:input|include|write|def|csname)\b"
)


def kind_of(gold: Gold) -> AnswerKind:
    """The gold's kind, or the one inferred from the gold answer."""
    if gold.kind is not None:
        return gold.kind
    text = gold.answer.strip()
    bare = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\{(.*)\}", r"\1", text)
    if re.fullmatch(r"\(?[A-Z]\)?", bare) and (gold.choices or bare.startswith("(")):
        return AnswerKind.LETTER
    if re.fullmatch(r"[A-D]|(?:\([A-J]\)|[A-J][):])\s*[^\s=].*", bare) or phrase(text) in map(phrase, gold.choices):
        return AnswerKind.LETTER
    if plain(text) in ("true", "false", "yes", "no"):
        return AnswerKind.BOOL
    if literal(canonical(text)) is not None or in_words(canonical(text)) is not None:
        return AnswerKind.NUMBER
    letters = re.findall("[A-H]", bare)
    if re.fullmatch(r"\(?[A-H]\)?(?:\s*(?:,|and|&)?\s*\(?[A-H]\)?)+", bare) and letters == sorted(set(letters)):
        return AnswerKind.LIST
    mathematics = re.search(r"[\d\\^=+*/<>(){}\[\]|]", text) or not WORD.search(text)
    return AnswerKind.MATH if mathematics else AnswerKind.TEXT


@lru_cache(maxsize=4096)
def gold_problem(gold: Gold) -> str | None:
    """Reason why a gold answer is unusable, or None. Does not parse mathematics."""
    text = gold.answer.strip()
    if not text:
        return "is empty"
    if UNPRINTABLE.search(text):
        return "contains control characters"
    if len(text) > MAX_ANSWER_CHARS:
        return f"is longer than {MAX_ANSWER_CHARS} characters"
    kind = kind_of(gold)
    if kind in (AnswerKind.MATH, AnswerKind.NUMBER, AnswerKind.LIST) and not balanced(text):
        return "has unbalanced braces"
    if not text.strip("()[]{}<>|,. "):
        return "contains only brackets"
    if kind is AnswerKind.LETTER and option_of(gold) is None:
        return f"names none of the {len(gold.choices) or 26} options"
    if kind is AnswerKind.BOOL and truth_of(text) is None:
        return "is neither true nor false"
    return None


def refusal(gold: Gold, answer: str) -> Verdict | None:
    """The verdict on answers that need no comparison: refused ones, and the gold's own text. None for the rest."""
    if problem := gold_problem(gold):
        return Verdict(VerdictKind.ERROR, answer, RuleName.GOLD, f"the gold answer {problem}")
    if not answer.strip():
        return Verdict(VerdictKind.NO_ANSWER, None, RuleName.EMPTY, "the final answer is empty")
    if answer.strip() == gold.answer.strip():
        return _correct(answer, RuleName.EXACT, "the same text as the gold answer")
    if len(answer) > MAX_ANSWER_CHARS:
        return _wrong(answer, RuleName.LENGTH, f"{len(answer)} characters are not a final answer")
    if UNPRINTABLE.search(answer):
        return _wrong(answer, RuleName.CHARACTERS, "contains control or bidirectional characters")
    if CODE.search(answer):
        return _wrong(answer, RuleName.CODE, "is program code, which is never executed")
    return None


def quick(gold: Gold, answer: str) -> Verdict | None:
    """The verdict if the text decides it in linear time; None if it needs mathematics."""
    refused = refusal(gold, answer)
    if refused is not None:
        return refused
    kind = kind_of(gold)
    if kind in QUICK:
        return QUICK[kind](gold, answer)
    expected, actual = literal(canonical(gold.answer)), literal(canonical(answer))
    if expected is not None and actual is not None:
        if near_enough(expected, actual):
            return _correct(answer, RuleName.NUMBER, "equal numbers, or one is a rounding of the other")
        return _wrong(answer, RuleName.NUMBER, "another number")
    return None


def thorough(gold: Gold, answer: str) -> Verdict:
    """The verdict where `quick` gives none. May take long or use all memory: run it in the sandbox."""
    # pint and mpmath take long to import; only workers import them.
    from icpo_cli.grading.rules.arithmetic import TooLarge
    from icpo_cli.grading.rules.equivalence import same

    if not balanced(answer):
        return _wrong(answer, RuleName.BRACES, "has unbalanced braces")
    try:
        for reference in (gold.answer, *gold.aliases):
            if why := same(reference, answer, gold.ordered):
                return _correct(answer, why, f"equal to the gold answer as {why}")
    except TooLarge:
        if _is_too_large(gold.answer):
            return Verdict(VerdictKind.ERROR, answer, RuleName.LIMITS, "the gold answer is too large to evaluate")
        return _wrong(answer, RuleName.LIMITS, "too large to evaluate, which the gold answer is not")
    return _wrong(answer, RuleName(kind_of(gold)), "not equal to the gold answer under any reading")


def _is_too_large(text: str) -> bool:
    from icpo_cli.grading.rules.arithmetic import TooLarge
    from icpo_cli.grading.rules.values import value_of

    try:
        value_of(canonical(text))
    except TooLarge:
        return True
    return False


def readable(gold: Gold) -> bool:
    """Whether a gold answer of kind math or number can be compared with by value or by its tokens. For the sandbox."""
    from icpo_cli.grading.rules.quantities import float_of

    text = canonical(gold.answer)
    return float_of(text) is not None if gold.kind is AnswerKind.NUMBER else re.search(r"\w", text) is not None


def _bools(gold: Gold, answer: str) -> Verdict:
    expected, actual = truth_of(gold.answer), truth_of(canonical(answer))
    if actual is None:
        return _wrong(answer, RuleName.BOOL, f"is none of {', '.join(sorted(YES | NO))}")
    return (_correct if actual is expected else _wrong)(answer, RuleName.BOOL, f"reads as {actual}")


def _texts(gold: Gold, answer: str) -> Verdict | None:
    texts = [answer, *filter(None, [unlettered(answer)])]
    if any(same_text(reference, text) for reference in (gold.answer, *gold.aliases) for text in texts):
        return _correct(answer, RuleName.TEXT, "the same words")
    return None if re.search(r"\d", gold.answer) else _wrong(answer, RuleName.TEXT, "other words")


QUICK: dict[AnswerKind, Callable[[Gold, str], Verdict | None]] = {
    AnswerKind.LETTER: letters_verdict,
    AnswerKind.BOOL: _bools,
    AnswerKind.TEXT: _texts,
}


def _correct(answer: str, rule: RuleName, reason: str) -> Verdict:
    return Verdict(VerdictKind.CORRECT, answer, rule, reason)


def _wrong(answer: str, rule: RuleName, reason: str) -> Verdict:
    return Verdict(VerdictKind.WRONG, answer, rule, reason)
