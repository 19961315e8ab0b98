"""TheoremQA's own rule: numbers within 4 %, integer golds by rounding, lists sorted, options by substring.

Its errors are kept where they change scores (a gold of 0.0 equals only 0); its extraction is not copied.
"""

import math
import re

from icpo_cli.grading.rules import strict
from icpo_cli.grading.rules.tex import canonical
from icpo_cli.grading.rules.words import plain
from icpo_cli.records import AnswerKind, Gold, RuleName, Verdict, VerdictKind

RELATIVE = 0.04


def quick(gold: Gold, answer: str) -> Verdict | None:
    """Decides refusals, booleans and options; None for the rest."""
    refused = strict.refusal(gold, answer)
    if refused is not None:
        return refused
    kind = strict.kind_of(gold)
    if kind is AnswerKind.BOOL:
        return strict.quick(gold, answer)
    if kind is AnswerKind.LETTER:
        return _verdict(plain(gold.answer).strip("()") in re.findall(r"[a-z]+", plain(answer)), answer, "the option")
    return None


def thorough(gold: Gold, answer: str) -> Verdict:
    """Compare numbers and lists; others by the strict rule."""
    expected, actual = _values(gold.answer), _values(answer)
    if expected is None:
        return strict.thorough(gold, answer)
    if actual is None or len(expected) != len(actual):
        return _verdict(False, answer, "a number or a list as long as the gold one")
    integer = re.fullmatch(r"[\[(\s]*[+-]?\d+(?:\s*,\s*[+-]?\d+)*[\])\s]*", gold.answer) is not None
    pairs = zip(sorted(expected), sorted(actual), strict=True)
    return _verdict(
        all(_near(a, b, integer) for a, b in pairs), answer, "within 4 % of the gold answer, or rounding to it"
    )


def _near(gold: float, answer: float, integer: bool) -> bool:
    if integer:
        return round(answer) == gold
    return math.isclose(gold, answer, rel_tol=0, abs_tol=RELATIVE * abs(gold))


def _values(text: str) -> list[float] | None:
    """The numbers of a list, or a single number; None for anything else."""
    from icpo_cli.grading.rules.quantities import float_of
    from icpo_cli.grading.rules.structure import items_of

    canonical_text = canonical(text)
    items = items_of(canonical_text)
    values = []
    for item in items.items if items else (canonical_text,):
        quantity = float_of(item)
        if quantity is None:
            return None
        value, unit = quantity
        values.append(value / 100 if "%" in unit else value)
    return values


def _verdict(correct: bool, answer: str, what: str) -> Verdict:
    kind = VerdictKind.CORRECT if correct else VerdictKind.WRONG
    return Verdict(kind, answer, RuleName.THEOREMQA, what if correct else f"not {what}")
