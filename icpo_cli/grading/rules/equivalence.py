"""Equivalence of two mathematical answers: by kind, and within larger answers element by element."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from icpo_cli.grading.rules import units
from icpo_cli.grading.rules.arithmetic import TooLarge
from icpo_cli.grading.rules.cursor import Unreadable
from icpo_cli.grading.rules.labels import (
    LABEL,
    RATIO_OF_NAMES,
    TUPLE,
    base_names,
    names_of,
    same_label,
    unlabelled,
)
from icpo_cli.grading.rules.letters import letters_of, unlettered
from icpo_cli.grading.rules.numbers import in_words
from icpo_cli.grading.rules.quantities import based_value, number_of, quantity_of, same_quantity
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
from icpo_cli.grading.rules.tex import canonical
from icpo_cli.grading.rules.values import equal_expressions, same_solutions
from icpo_cli.grading.rules.words import clock_of, date_of, ion_of, same_text
from icpo_cli.records import RuleName

MAX_ITEMS = 64
APPROXIMATELY = re.compile(
    r"^(?:(?:is|was|are|about|approximately|approx\.?|around|roughly|nearly|almost|exactly|only|just"
    r"|\\sim|=|equals?(?: to)?) *)+"
)
LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|and|then|finally)\b[, ]*)?"
    r"(?:(?:final )?answer *[:=] *|[A-Z][a-z]+(?: [a-z]+){0,3}: (?=[^a-z]*\d)"
    r"|(?:the|its|our|a|their) +(?:[A-Za-z'-]+ +){0,7}?(?:is|are|equals|was|=) +(?:equal to +|given by +)?"
    r"|[A-Za-z]+(?: [a-z]+){0,3} (?:has|have|had|gets?|needs?|sold|makes?|made|spends?|spent|pays?|paid|earns?"
    r"|costs?|takes?|travels?|will be|is|are|was|were) (?=\\?[$\d-])"
    r"|the (?:point|vector|interval|set|value|number) +(?=\S*\d)|it is +|we (?:get|have|obtain) +|there are +)",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r" *\(?\b(?:approximately|approx)\.?\)?$| +is the (?:only|unique|final) (?:solution|answer|value)$"
)
INTEGER = re.compile(r", *(?:where )?([a-z]) ?(?:\\in ?\\Z|is an integer|\\in integers)$")
SEQUENCE = re.compile(r"[A-Z]{3,}")
"""Letters in a meaningful order: heads and tails, bases of a gene, corners."""
HALF_OPEN = ("[]()", "()[]", "()(]", "()[)")


def same(gold: str, answer: str, ordered: bool | None = None) -> RuleName | None:
    """The kind under which the answer equals the gold, or None. `ordered`: see Gold. Raises TooLarge."""
    expected, actual = canonical(gold), CLOSING.sub("", LEAD.sub("", canonical(answer))).strip()
    if not actual:
        return None
    if SEQUENCE.fullmatch(expected):
        return RuleName.EXACT if _identical(expected, actual) else None
    if INTEGER.search(expected) or INTEGER.search(actual):
        expected, actual = (_with_parameter(text) for text in (expected, actual))
    bases = based_value(unlabelled(expected)), based_value(unlabelled(actual))
    if bases != (None, None):  # 52 is not 52_8
        return RuleName.BASE if bases[0] == bases[1] else None
    kinds: dict[RuleName, Callable[[str, str], bool]] = {
        RuleName.EXACT: _identical,
        RuleName.INTERVAL: _spans,
        RuleName.MATRIX: _matrices,
        RuleName.LIST: lambda gold, answer: _lists(gold, answer, ordered),
        RuleName.RELATION: _relations,
        RuleName.VALUE: _values,
        RuleName.DATE: _dates,
        RuleName.TEXT: _texts,
        RuleName.LETTERS: _letters,
        RuleName.GLOSS: _glossed,
        RuleName.OPTION_TEXT: _after_letter,
    }
    too_large = None
    for name, compared in kinds.items():
        try:
            if compared(expected, actual):
                return name
        except TooLarge as error:
            too_large = error
    if too_large is not None:
        raise too_large
    return None


def _with_parameter(text: str) -> str:
    r"""The text with k for the name of a whole number, \frac{\pi}{4} + n\pi, n \in \Z, and without what says so."""
    declared = INTEGER.search(text)
    letters = declared[1] if declared else "kmn"
    return re.sub(rf"(?<![A-Za-z\\])[{letters}](?![A-Za-z])", "k", INTEGER.sub("", text))


def _part(gold: str, answer: str) -> bool:
    """Whether two elements of larger answers are equal."""
    return any(compared(gold, answer) for compared in (_identical, _relations, _values, _lists, _texts))


def _leaf(gold: str, answer: str) -> bool:
    """Whether two sides of equations are equal."""
    return any(compared(gold, answer) for compared in (_identical, _values, _matrices, _lists, _texts))


# Intervals and matrices


def _spans(gold: str, answer: str) -> bool:
    left, right = spans_of(gold), spans_of(answer)
    return left is not None and right is not None and _matched(left, right, _same_span)


def _same_span(gold: Span, answer: Span) -> bool:
    return (
        (gold.low_closed, gold.high_closed) == (answer.low_closed, answer.high_closed)
        and _leaf(gold.low, answer.low)
        and _leaf(gold.high, answer.high)
    )


def _matrices(gold: str, answer: str) -> bool:
    """Entry by entry; a vector may be a row, a column or a tuple."""
    gold, answer = unlabelled(gold), unlabelled(answer)
    left, right = matrix_of(gold), matrix_of(answer)
    if left is not None and right is not None and not (_is_vector(left) and _is_vector(right)):
        return _same_matrix(left, right)
    if left is None and right is None:
        return False
    one, other = _entries(left, gold), _entries(right, answer)
    return one is not None and other is not None and _same_matrix((one,), (other,))


def _same_matrix(gold: Matrix, answer: Matrix) -> bool:
    if [len(row) for row in gold] != [len(row) for row in answer]:
        return False
    return all(_part(a, b) for rows in zip(gold, answer, strict=True) for a, b in zip(*rows, strict=True))


def _is_vector(matrix: Matrix) -> bool:
    return len(matrix) == 1 or len(matrix[0]) == 1


def _entries(matrix: Matrix | None, text: str) -> tuple[str, ...] | None:
    """The entries of a vector or a tuple; None for anything else."""
    if matrix is not None:
        return tuple(entry for row in matrix for entry in row) if _is_vector(matrix) else None
    items = items_of(text)
    return items.items if items is not None and items.brackets != "{}" else None


# Several values


def _lists(gold: str, answer: str, ordered: bool | None = None) -> bool:
    if (label := TUPLE.match(gold)) and TUPLE.match(answer) and not answer.startswith(label[0]):
        return False  # (x, y) is not (y, x)
    left, right = _several(gold), _several(answer)
    if left is None or right is None or len(left.items) != len(right.items) or len(left.items) > MAX_ITEMS:
        return False
    names, others = names_of(left), names_of(right)
    if names and others:
        return base_names(names) == base_names(others) and _matched(left.items, right.items, _part)
    if names or others:
        left, right = _by_name(left, names), _by_name(right, others)
        ordered = len(set(base_names(names or others))) > 1 if ordered is None else ordered
    if ordered is None:
        if len(left.items) == 2 and left.brackets + right.brackets in HALF_OPEN:
            return False  # the ends of an interval are open or closed
        if left.ordered != right.ordered and left.brackets != "  " != right.brackets:
            return False  # a point is not a set
        ordered = left.ordered
    if ordered:
        return all(map(_part, left.items, right.items))
    return _matched(left.items, right.items, _part)


def _several(text: str) -> Items | None:
    r"""The values of a list, with each \pm as two values and without a label for the complete list."""
    text = re.sub(r"^(?:[A-Za-z](?:_\{\w+\})?|\([a-z](?:, ?[a-z])+\)) ?(?:\\in|=) ?(?=\\\{)", "", text)
    sides = sides_of(text)
    if len(sides) == 2:
        labels, values = items_of(sides[0]), items_of(sides[1])
        if labels and values and len(labels.items) == len(values.items) and all(map(LABEL.fullmatch, labels.items)):
            return values  # (x, y) = (3, 4)
        if LABEL.fullmatch(sides[0]) and (values or plus_minus(sides[1])):
            text = sides[1]  # x = 3, 4
    items = items_of(text)
    each = [value for item in (items.items if items else (text,)) for value in (plus_minus(item) or (item,))]
    if items is None and len(each) == 1:
        return None
    return Items(tuple(each), items.brackets if items else "  ")


def _by_name(items: Items, names: list[str]) -> Items:
    """The values alone, in the order of their names: y = 4, x = 3 is (3, 4), and a = 4, b = 1 within a list too."""
    inner = [items_of(item) for item in items.items]
    if not names and all(part is not None and names_of(part) for part in inner):
        return Items(
            tuple(f"({', '.join(_by_name(part, names_of(part)).items)})" for part in inner if part), items.brackets
        )
    if not names:
        return items
    values = [sides_of(item)[1] for item in items.items]
    if len(set(base_names(names))) == 1:
        return Items(tuple(values), items.brackets)
    return Items(tuple(value for _, value in sorted(zip(names, values, strict=True))), "()")


# Equations


def _relations(gold: str, answer: str) -> bool:
    """Equal equations: x = 5 and 5, y = 2x + 1 and f(x) = 2x + 1, 2x - y + 1 = 0 and y = 2x + 1."""
    left, right = sides_of(gold), sides_of(answer)
    if len(left) == len(right) == 1 or items_of(gold) or items_of(answer):
        return False
    if len(left) == 1:
        value = _stated(right, number=quantity_of(gold) is not None)
        return value is not None and _leaf(gold, value)
    if len(right) == 1:
        name = LABEL.fullmatch(left[0]) or RATIO_OF_NAMES.fullmatch(left[0])
        return name is not None and left[-1] != "0" and _leaf(left[-1], answer)
    if len(right) > 2 and _stated(right, number=False) is None:
        return False
    named = LABEL.fullmatch(left[0]) and LABEL.fullmatch(right[0]) and same_label(left[0], right[0])
    if named and _leaf(left[-1], right[-1]):
        return True
    if len(left) != 2 or len(right) != 2:
        return False
    if _identical(left[0], right[1]) and _identical(left[1], right[0]):
        return True
    try:
        return same_solutions((left[0], left[1]), (right[0], right[1]))
    except Unreadable:
        return False


def _stated(sides: Sequence[str], number: bool) -> str | None:
    """The value that an equation states of its first side; None if its sides are not equal, as in x = 4 = 5.

    The first side is a name or arithmetic, before a number (`number`) any expression of unknown value.
    """
    if _number(sides[0]) is not None and len(sides) == 2 and LABEL.fullmatch(sides[1]):
        sides = sides[::-1]  # 5 = x
    known = _number(sides[0]) is not None
    if not known and not number and not LABEL.fullmatch(sides[0]):
        return None
    rest = sides if known else sides[1:]
    return sides[-1] if all(_values(sides[-1], side) for side in rest[:-1]) else None


def _number(text: str) -> object:
    return None if text in ("e", "i") else number_of(text)


# Values


def _values(gold: str, answer: str) -> bool:
    """Compare as numbers with or without units, then as expressions."""
    gold, answer = (APPROXIMATELY.sub("", text) for text in (gold, answer))
    as_quantities = same_quantity(gold, answer)
    if as_quantities is not None or items_of(gold) or items_of(answer):
        return bool(as_quantities)
    if _equal(gold, answer):
        return True
    left, right = _without_unit(gold), _without_unit(answer)
    one_has_a_unit = (left == gold) != (right == answer)
    return one_has_a_unit and _equal(left, right)


def _equal(gold: str, answer: str) -> bool:
    try:
        return equal_expressions(gold, answer)
    except Unreadable:
        return False


def _without_unit(text: str) -> str:
    """Remove a unit after an expression with variables."""
    parts = units.split_unit(text)
    if parts and units.is_unit(parts[1]) and re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", parts[0]):
        return parts[0]
    return text


def _identical(gold: str, answer: str) -> bool:
    return _tight(gold) == _tight(answer)


def _tight(text: str) -> str:
    """Without the spaces that mean nothing; one between digits makes a mixed number."""
    return re.sub(r"(?<!\d) +| +(?!\d)", "", text)


# Words


def _texts(gold: str, answer: str) -> bool:
    """Compare as words, or as ions; False if the gold is mathematics."""
    if (ion := ion_of(gold)) is not None:
        return ion == ion_of(answer)
    if not re.search(r"[A-Za-z]{2}", gold) or re.match(r"[-+]? *[\d.]", gold) or re.search(r"[\\^=<>+*/]", gold):
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


def _glossed(gold: str, answer: str) -> bool:
    """Compare an answer with a remark, 75 min (1 h 15 min), or with a second form, 1/2 or 50 %, or a named formula."""
    again = re.fullmatch(r"(.*\S) *\(or (.+)\)|(.*\S),? or (.+)", answer)
    if again and number_of(gold) is not None:
        return _part(gold, (again[1] or again[3]).rstrip(", ")) and _part(gold, again[2] or again[4])
    found = re.fullmatch(r"(.*\S) +\(([^()]*(?:\([^()]*\)[^()]*)*)\)", answer)
    if not found or not re.search(r"[A-Za-z]{2}|%|=", found[2]) or re.search(r"\b(?:or|not|and)\b", found[2]):
        return False
    return _part(gold, found[1]) or (in_words(found[1]) is None and _identical(gold, found[2]))


def _after_letter(gold: str, answer: str) -> bool:
    text = unlettered(answer)
    return text is not None and _part(gold, text)


def _matched(left: Sequence[Any], right: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Whether the items match one to one in any order. Equality is assumed to be transitive."""
    rest = list(right)
    for one in left:
        index = next((position for position, other in enumerate(rest) if same(one, other)), None)
        if index is None:
            return False
        del rest[index]
    return not rest
