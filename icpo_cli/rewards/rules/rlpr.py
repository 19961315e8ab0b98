"""RLPR's rule, lenient as its code is: an answer in any box or tag of the response may be the right one.

Numbers within 1e-4 of the gold one, of a hundredth of it or of a hundred times it are right; pi may be 3.14.
"""

import math

from icpo_cli.records import AnswerKind, Gold, Verdict, VerdictKind
from icpo_cli.rewards.extraction import ANSWER, auto, every_box
from icpo_cli.rewards.rules import strict
from icpo_cli.rewards.rules.notation import canonical
from icpo_cli.rewards.rules.words import phrase

RELATIVE = 1e-4


def candidates(response: str) -> list[str]:
    """Everything in a box or an answer tag, first to last, then the final answer."""
    found = [tag.strip() for tag in ANSWER.findall(response)] + every_box(response)
    last = auto(response)
    return [text for text in dict.fromkeys([*found, *([last] if last else [])]) if text]


def quick(gold: Gold, answer: str) -> Verdict | None:
    """Refusals, options and equal texts; the rest takes mathematics."""
    refused = strict.refusal(gold, answer)
    if refused is not None:
        return refused
    if strict.kind_of(gold) is AnswerKind.LETTER:
        return strict.quick(gold, answer)
    if phrase(gold.answer) == phrase(answer) != "":
        return Verdict(VerdictKind.CORRECT, answer, "rlpr", "the same words")
    return None


def thorough(gold: Gold, answer: str) -> Verdict:
    """By value, a factor of a hundred forgiven; else by the strict rule."""
    from icpo_cli.rewards.rules.quantities import quantity_of

    wanted, given = (quantity_of(canonical(text)) for text in (gold.answer, answer))
    if wanted is not None and given is not None:
        right, value = float(wanted[0].value), float(given[0].value)
        scales = [1, 0.01, 100, *([3.14 / math.pi] if r"\pi" in canonical(gold.answer) else [])]
        if any(math.isclose(value, right * scale, rel_tol=RELATIVE) for scale in scales):
            return Verdict(
                VerdictKind.CORRECT, answer, "rlpr", "within 1e-4, a factor of a hundred or 3.14 for pi forgiven"
            )
    return strict.thorough(gold, answer)
