"""RLPR's rule, as lenient as its code: an answer in any box or tag of the response may be the correct one.

Numbers within 1e-4 of the gold, or of 0.01 or 100 times the gold, are correct; pi may be 3.14.
"""

import math

from icpo_cli.grading.extraction import auto, every_box, tagged
from icpo_cli.grading.rules import strict
from icpo_cli.grading.rules.tex import canonical
from icpo_cli.grading.rules.words import phrase
from icpo_cli.records import AnswerKind, Gold, RuleName, Verdict, VerdictKind

RELATIVE = 1e-4


def candidates(response: str) -> list[str]:
    """All texts in boxes and answer tags, then the final answer."""
    found = [text for _, text in tagged(response)] + every_box(response)
    last = auto(response)
    return [text for text in dict.fromkeys([*found, *([last] if last else [])]) if text]


def quick(gold: Gold, answer: str) -> Verdict | None:
    """Decides refusals, options and equal texts; None for the rest."""
    refused = strict.refusal(gold, answer)
    if refused is not None:
        return refused
    if strict.kind_of(gold) is AnswerKind.LETTER:
        return strict.quick(gold, answer)
    if phrase(gold.answer) == phrase(answer) != "":
        return Verdict(VerdictKind.CORRECT, answer, RuleName.RLPR, "the same words")
    return None


def thorough(gold: Gold, answer: str) -> Verdict:
    """Compare by value, with a factor of 100 accepted, else by the strict rule."""
    from icpo_cli.grading.rules.quantities import float_of

    reference = canonical(gold.answer)
    expected, actual = float_of(reference), float_of(canonical(answer))
    if expected is not None and actual is not None:
        scales = [1, 0.01, 100, *([3.14 / math.pi] if r"\pi" in reference else [])]
        if any(math.isclose(actual[0], expected[0] * scale, rel_tol=RELATIVE) for scale in scales):
            reason = "within 1e-4; a factor of 100 and 3.14 for pi are accepted"
            return Verdict(VerdictKind.CORRECT, answer, RuleName.RLPR, reason)
    return strict.thorough(gold, answer)
