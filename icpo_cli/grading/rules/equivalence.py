"""Equivalence of two mathematical answers: by shape first, then element by element."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from icpo_cli.grading.rules import symbolic, units
from icpo_cli.grading.rules.letters import letters_of, unlettered
from icpo_cli.grading.rules.notation import canonical
from icpo_cli.grading.rules.numbers import in_words
from icpo_cli.grading.rules.quantities import based_value, quantity_of, same_quantity
from icpo_cli.grading.rules.structure import (
    Items,
    Matrix,
    Span,
    items_of,
    matrix_of,
    plus_minus,
    sides_of,
    spans_of,
)
from icpo_cli.grading.rules.symbolic import TooLarge, Unreadable
from icpo_cli.grading.rules.words import clock_of, date_of, same_text
from icpo_cli.records import RuleName

MAX_ITEMS = 64
LABEL = re.compile(
    r"(?:\\?[A-Za-z]+|\|[A-Za-z]+\|)(?:_\{?[\w,+ -]+\}?|_\{?\\[a-z]+\}?)?'*"
    r"\s*(?:\(\s*[\\A-Za-z0-9_, ]*\s*\))?"
)
"""A name before an equals sign: x, x_1, f(x), |AB|, y', area."""
APPROXIMATELY = re.compile(
    r"^(?:(?:is|was|are|about|approximately|approx\.?|around|roughly|nearly|almost|exactly|only|just"
    r"|\\sim|~|=|equals?(?: to)?)\s*)+"
)
LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|and|then|finally)\b[, ]*)?"
    r"(?:(?:final )?answer\s*[:=]\s*"
    r"|(?:the|its|our|a|their)\s+(?:[A-Za-z'-]+\s+){0,7}?(?:is|are|equals|was|=)\s+(?:equal to\s+|given by\s+)?"
    r"|the (?:point|vector|interval|set|value|number)\s+(?=\S*\d)|it is\s+|we (?:get|have|obtain)\s+|there are\s+)",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"\s*\(?\b(?:approximately|approx)\.?\)?$|\s+is the (?:only|unique|final) (?:solution|answer|value)$"
)
HALF_OPEN = ("[]()", "()[]", "()(]", "()[)")


def reads(text: str) -> bool:
    """Whether a gold answer can be compared with: as a number, a shape, an expression, or plain words."""
    canonical_text = canonical(text)
    if "\\" not in canonical_text:
        return re.search(r"\w", canonical_text) is not None
    readings: tuple[Callable[[str], object], ...] = (quantity_of, based_value, spans_of, matrix_of, items_of)
    try:
        return any(reading(canonical_text) is not None for reading in readings) or all(
            symbolic.parse(side) is not None for side in (plus_minus(canonical_text) or sides_of(canonical_text))
        )
    except (Unreadable, TooLarge):
        return False


def is_too_large(text: str) -> bool:
    """Whether the expression exceeds the bounds of evaluation."""
    try:
        symbolic.parse(canonical(text))
    except TooLarge:
        return True
    except Unreadable:
        return False
    return False


class EquivalenceCheck:
    """One comparison. `why` is the reading under which two answers are equal."""

    def __init__(self) -> None:
        self.why = RuleName.EXACT
        self.too_large = False
        """Some part was too large to evaluate, so answers that are not found equal may still be."""

    def same(self, gold: str, answer: str, ordered: bool | None = None) -> bool:
        """Whether the answer equals the gold under any reading. `ordered`: see Gold."""
        expected, actual = canonical(gold), CLOSING.sub("", LEAD.sub("", canonical(answer))).strip()
        if not actual:
            return False
        if based_value(expected) is not None or based_value(actual) is not None:
            self.why = RuleName.BASE  # 52 is not 52_8
            return based_value(expected) == based_value(actual)
        for name, reading in self._readings(ordered).items():
            if reading(expected, actual):
                self.why = name
                return True
        return False

    def _readings(self, ordered: bool | None) -> dict[RuleName, Callable[[str, str], bool]]:
        return {
            RuleName.EXACT: _identical,
            RuleName.INTERVAL: self._spans,
            RuleName.MATRIX: self._matrices,
            RuleName.LIST: lambda gold, answer: self._lists(gold, answer, ordered),
            RuleName.RELATION: self._relations,
            RuleName.VALUE: self._values,
            RuleName.DATE: _dates,
            RuleName.TEXT: _texts,
            RuleName.LETTERS: _letters,
            RuleName.GLOSS: self._glossed,
            RuleName.OPTION_TEXT: self._after_letter,
        }

    def _part(self, gold: str, answer: str) -> bool:
        """Whether two elements of larger answers are equal."""
        return (
            _identical(gold, answer)
            or self._relations(gold, answer)
            or self._values(gold, answer)
            or self._lists(gold, answer, None)
            or _texts(gold, answer)
        )

    def _leaf(self, gold: str, answer: str) -> bool:
        """Whether two sides of equations are equal."""
        return (
            _identical(gold, answer)
            or self._values(gold, answer)
            or self._matrices(gold, answer)
            or _texts(gold, answer)
        )

    # Intervals and matrices

    def _spans(self, gold: str, answer: str) -> bool:
        left, right = spans_of(gold), spans_of(answer)
        if left is None or right is None or len(left) != len(right):
            return False
        return _matched(left, right, self._same_span)

    def _same_span(self, gold: Span, answer: Span) -> bool:
        return (
            (gold.low_closed, gold.high_closed) == (answer.low_closed, answer.high_closed)
            and self._values(gold.low, answer.low)
            and self._values(gold.high, answer.high)
        )

    def _matrices(self, gold: str, answer: str) -> bool:
        """Entry by entry; a vector may be a row, a column or a tuple."""
        gold, answer = _unlabelled(gold), _unlabelled(answer)
        left, right = matrix_of(gold), matrix_of(answer)
        if left is not None and right is not None and not (_is_vector(left) and _is_vector(right)):
            return self._same_matrix(left, right)
        if left is None and right is None:
            return False
        one, other = _entries(left, gold), _entries(right, answer)
        return one is not None and other is not None and self._same_matrix((one,), (other,))

    def _same_matrix(self, gold: Matrix, answer: Matrix) -> bool:
        if [len(row) for row in gold] != [len(row) for row in answer]:
            return False
        return all(self._part(a, b) for rows in zip(gold, answer, strict=True) for a, b in zip(*rows, strict=True))

    # Several values

    def _lists(self, gold: str, answer: str, ordered: bool | None) -> bool:
        left, right = _several(gold), _several(answer)
        if left is None or right is None or len(left.items) != len(right.items) or len(left.items) > MAX_ITEMS:
            return False
        names, others = _named(left.items), _named(right.items)
        if names and others:
            return names.keys() == others.keys() and all(self._part(names[name], others[name]) for name in names)
        if ordered is None and (names or others):
            ordered = not _one_name(left, right)
            left, right = (_by_name(left, names), _by_name(right, others)) if ordered else (_bare(left), _bare(right))
        if ordered is None:
            if len(left.items) == 2 and left.brackets + right.brackets in HALF_OPEN:
                return False  # the ends of an interval are open or closed
            if left.ordered != right.ordered and left.brackets != "  " != right.brackets:
                return False  # a point is not a set
            ordered = left.ordered
        if ordered:
            return all(map(self._part, left.items, right.items))
        return _matched(left.items, right.items, self._part)

    # Equations

    def _relations(self, gold: str, answer: str) -> bool:
        """Equal equations: x = 5 and 5, y = 2x + 1 and f(x) = 2x + 1, 2x - y + 1 = 0 and y = 2x + 1."""
        left, right = sides_of(gold), sides_of(answer)
        if len(left) == len(right) == 1 or items_of(gold) or items_of(answer):
            return False
        if len(left) == 1:
            return self._consistent(right) and self._leaf(gold, right[-1])
        if len(right) == 1:
            return LABEL.fullmatch(left[0]) is not None and left[-1] != "0" and self._leaf(left[-1], answer)
        if len(right) > 2 and not self._consistent(right):
            return False
        named = LABEL.fullmatch(left[0]) and LABEL.fullmatch(right[0]) and _same_label(left[0], right[0])
        if named and self._leaf(left[-1], right[-1]):
            return True
        if len(left) != 2 or len(right) != 2:
            return False
        if _identical(left[0], right[1]) and _identical(left[1], right[0]):
            return True
        return self._evaluated(lambda: symbolic.same_solutions((left[0], left[1]), (right[0], right[1])))

    def _consistent(self, sides: Sequence[str]) -> bool:
        """Whether all sides after a leading name or arithmetic term are equal: not so in x = 4 = 5."""
        named = LABEL.fullmatch(sides[0]) is not None
        if not named and not _is_arithmetic(sides[0]):
            return False
        return all(self._values(sides[-1], side) for side in sides[1 if named else 0 : -1])

    # Values

    def _values(self, gold: str, answer: str) -> bool:
        """Compare as numbers with or without units, then as expressions."""
        gold, answer = APPROXIMATELY.sub("", gold), APPROXIMATELY.sub("", answer)
        try:
            as_quantities = same_quantity(gold, answer)
        except TooLarge:
            self.too_large = True
            return False
        if as_quantities is not None or items_of(gold) or items_of(answer):
            return bool(as_quantities)
        if self._evaluated(lambda: symbolic.equal_expressions(gold, answer)):
            return True
        left, right = _without_unit(gold), _without_unit(answer)
        one_has_a_unit = (left == gold) != (right == answer)
        return one_has_a_unit and self._evaluated(lambda: symbolic.equal_expressions(left, right))

    def _glossed(self, gold: str, answer: str) -> bool:
        """Compare an answer that has a remark in brackets, 75 min (1 h 15 min), or a name with its formula."""
        found = re.fullmatch(r"(.*\S)\s+\(([^()]*(?:\([^()]*\)[^()]*)*)\)", answer)
        if not found or not re.search(r"[A-Za-z]{2}|%|=", found[2]) or re.search(r"\b(?:or|not|and)\b", found[2]):
            return False
        return self._part(gold, found[1]) or (in_words(found[1]) is None and _identical(gold, found[2]))

    def _after_letter(self, gold: str, answer: str) -> bool:
        text = unlettered(answer)
        return text is not None and self._part(gold, text)

    def _evaluated(self, comparison: Callable[[], bool]) -> bool:
        """The result of a comparison of values; False for unreadable ones and for too large ones, which are noted."""
        try:
            return comparison()
        except Unreadable:
            return False
        except TooLarge:
            self.too_large = True
            return False


def _identical(gold: str, answer: str) -> bool:
    return re.sub(r"\s+", "", gold) == re.sub(r"\s+", "", answer)


def _texts(gold: str, answer: str) -> bool:
    """Compare as words; False if the gold is mathematics."""
    if not re.search(r"[A-Za-z]{2}", gold) or re.match(r"[-+]?\s*[\d.]", gold) or re.search(r"[\\^=<>+*/]", gold):
        return False
    return same_text(gold, answer)


def _dates(gold: str, answer: str) -> bool:
    day, hour = date_of(gold), clock_of(gold)
    return (day is not None and day == date_of(answer)) or (hour is not None and hour == clock_of(answer))


def _letters(gold: str, answer: str) -> bool:
    """Compare letters of several options: as a set if the gold's are sorted, else as a sequence."""
    expected, actual = letters_of(gold), letters_of(answer)
    if expected is None or actual is None:
        return False
    return expected == actual or (list(expected) == sorted(expected) and sorted(expected) == sorted(actual))


def _without_unit(text: str) -> str:
    """Remove a unit after an expression with variables."""
    parts = units.split_unit(text)
    if parts and units.is_unit(parts[1]) and re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", parts[0]):
        return parts[0]
    return text


def _several(text: str) -> Items | None:
    r"""The values of a list, with each \pm as two values and without a label for the complete list."""
    text = re.sub(r"^[A-Za-z](?:_\{?\w+\}?)?\s*(?:\\in|=)\s*(?=\\\{)", "", text)
    sides = sides_of(text)
    if len(sides) == 2:
        names, values = items_of(sides[0]), items_of(sides[1])
        if names and values and len(names.items) == len(values.items) and all(map(LABEL.fullmatch, names.items)):
            return values  # (x, y) = (3, 4)
        if LABEL.fullmatch(sides[0]) and (values or plus_minus(sides[1])):
            text = sides[1]  # x = 3, 4
    items = items_of(text)
    each = [value for item in (items.items if items else (text,)) for value in (plus_minus(item) or (item,))]
    if items is None and len(each) == 1:
        return None
    return Items(tuple(each), items.brackets if items else "  ")


def _named(items: Sequence[str]) -> dict[str, str]:
    """{name: value} of x = 3, y = 4; empty unless every item has its own name."""
    pairs = [sides_of(item) for item in items]
    if not all(len(pair) == 2 and LABEL.fullmatch(pair[0]) for pair in pairs):
        return {}
    named = {pair[0].replace(" ", ""): pair[1] for pair in pairs}
    return named if len(named) == len(items) else {}


def _bare(items: Items) -> Items:
    """Remove the names of the values."""
    return Items(tuple(map(_unlabelled, items.items)), items.brackets)


def _by_name(items: Items, named: dict[str, str]) -> Items:
    """Turn y = 4, x = 3 into (3, 4)."""
    if not named or not all(len(name) == 1 for name in named):
        return items
    return Items(tuple(named[name] for name in sorted(named)), "()")


def _one_name(*lists: Items) -> bool:
    """Whether all names are of one unknown: x = 1, x = 2 or x_1 = 1, x_2 = 2."""
    sides = [sides_of(item) for each in lists for item in each.items]
    return len({re.sub(r"_\{?\w+\}?", "", pair[0]).strip() for pair in sides if len(pair) == 2}) == 1


def _unlabelled(text: str) -> str:
    sides = sides_of(text)
    return sides[-1] if len(sides) == 2 and LABEL.fullmatch(sides[0]) else text


def _same_label(left: str, right: str) -> bool:
    """Whether two labels may name the same value: equal ones, y, f(x) and y(x), or any word."""
    left, right = (re.sub(r"[\s{}]", "", label) for label in (left, right))
    if left.casefold() == right.casefold():
        return True
    functions = all(re.fullmatch(r"[fghyu]|[a-z]\([a-z]\)", label) for label in (left, right))
    if functions and "(" in left + right:
        return True
    return any(re.fullmatch(r"[A-Za-z]{3,}", label) for label in (left, right))


def _is_arithmetic(text: str) -> bool:
    """Whether the text is arithmetic without unknowns, such as the left side of 3 + 4 = 7."""
    return (
        re.fullmatch(r"(?:[\d\s+*/().^{}-]|\\(?:times|cdot|frac|sqrt|ln|log|sin|cos|tan|arcsin|pi))+", text) is not None
    )


def _is_vector(matrix: Matrix) -> bool:
    return len(matrix) == 1 or len(matrix[0]) == 1


def _entries(matrix: Matrix | None, text: str) -> tuple[str, ...] | None:
    """The entries of a vector or a tuple; None for anything else."""
    if matrix is not None:
        return tuple(entry for row in matrix for entry in row) if _is_vector(matrix) else None
    items = items_of(text)
    return items.items if items is not None and items.brackets != "{}" else None


def _matched(left: Sequence[Any], right: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Whether the items match one to one in any order. Equality is assumed to be transitive."""
    rest = list(right)
    for one in left:
        index = next((position for position, other in enumerate(rest) if same(one, other)), None)
        if index is None:
            return False
        del rest[index]
    return not rest
