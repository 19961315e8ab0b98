"""Whether an extracted answer is the gold answer."""

import re
from decimal import Decimal, InvalidOperation

from icpo_cli.records import Verdict, VerdictKind
from icpo_cli.rewards.extraction import answer_tag

LONGEST_NUMBER = 64
"""Characters; a longer text is compared as text."""


def verify(response: str, gold: str) -> Verdict:
    """Exact match of the tagged answer, else equality as numbers. Pure and quick: no answer can make it hang."""
    answer = answer_tag(response)
    if answer is None:
        return Verdict(VerdictKind.NO_ANSWER, None, "answer_tag")
    if _text(answer) == _text(gold):
        return Verdict(VerdictKind.CORRECT, answer, "exact")
    left, right = _number(gold), _number(answer)
    if left is not None and right is not None:
        return Verdict(VerdictKind.CORRECT if left == right else VerdictKind.WRONG, answer, "number")
    return Verdict(VerdictKind.WRONG, answer, "exact")


def _text(text: str) -> str:
    return " ".join(text.split()).casefold()


def _number(text: str) -> Decimal | None:
    """Decimal notation with optional sign, exponent and thousands separators; None for anything else."""
    bare = text.strip().rstrip(".")
    if len(bare) > LONGEST_NUMBER or not bare.isascii():
        return None
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", bare):
        bare = bare.replace(",", "")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", bare):
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None
