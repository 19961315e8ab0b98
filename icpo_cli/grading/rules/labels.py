"""Labels: the names of values, before an equals sign."""

import re

from icpo_cli.grading.rules.structure import Items, sides_of

LABEL = re.compile(
    r"(?:\\(?:angle|triangle|Delta) ?)?"
    r"(?:\\?[A-Za-z]+|\\[a-z]+\{[^{}]*\}|\|[A-Za-z]+\||\[[A-Z]+\]|\\D\{[^{}]*\}\{.*\}|[A-Za-z]+(?: [A-Za-z]+)+)"
    r"(?:[_^]\{(?:[^{}]|\{[^{}]*\})*\}|')*(?: ?\(.*\)| ?\[.*\])?"
)
"""A name before an equals sign: x, x_1, f(x), |AB|, y', P(X = 2), [ABC], the area."""
TUPLE = re.compile(r"\([a-z](?:,[a-z])+\)=")
RATIO_OF_NAMES = re.compile(r"\\frac\{[A-Z_{}\d]+\}\{[A-Z_{}\d]+\}|[A-Z]\w*(?:_\{\w+\})?(?:[:/][A-Z]\w*(?:_\{\w+\})?)+")


def names_of(items: Items) -> list[str]:
    """The names of x = 3, y = 4; empty unless every item has one."""
    pairs = [sides_of(item) for item in items.items]
    return [pair[0] for pair in pairs] if all(len(pair) == 2 and LABEL.fullmatch(pair[0]) for pair in pairs) else []


def base_names(names: list[str]) -> list[str]:
    """The names in order, those of one unknown without their subscripts: x_1, x_2 are x, x."""
    return sorted(re.sub(r"_\{\w+\}", "", name).strip() for name in names)


def unlabelled(text: str) -> str:
    sides = sides_of(text)
    return sides[-1] if len(sides) == 2 and LABEL.fullmatch(sides[0]) else text


def same_label(left: str, right: str) -> bool:
    """Whether two labels may name the same value: equal ones, y, f(x) and y(x), or any word."""
    if " " in left.strip() + right.strip():
        return left == right
    left, right = (re.sub(r"[\s{}]", "", label) for label in (left, right))
    if left == right:
        return True
    functions = all(re.fullmatch(r"[fghyu]|[a-z]\([a-z]\)", label) for label in (left, right))
    if functions and "(" in left + right:
        return True
    return any(re.fullmatch(r"[A-Za-z]{3,}", label) for label in (left, right))
