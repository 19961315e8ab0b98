"""Whether two answers say the same: by shape first, then value by value."""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from icpo_cli.rewards.rules import symbolic, units
from icpo_cli.rewards.rules.notation import canonical
from icpo_cli.rewards.rules.numbers import Number, in_words, literal, near_enough
from icpo_cli.rewards.rules.structure import (
    EQUALS,
    Items,
    Matrix,
    Span,
    items_of,
    matrix_of,
    plus_minus,
    sides_of,
    spans_of,
)
from icpo_cli.rewards.rules.symbolic import TooLarge, Unreadable
from icpo_cli.rewards.rules.words import clock_of, date_of, same_text

MOST_ITEMS = 64
LABEL = re.compile(
    r"(?:\\?[A-Za-z]+|\|[A-Za-z]+\|)(?:_\{?[\w,+ -]+\}?|_\{?\\[a-z]+\}?)?'*\s*(?:\(\s*[\\A-Za-z0-9, ]*\s*\)|\([\\A-Za-z0-9_, ]*\))?"
)
APPROXIMATELY = re.compile(
    r"^(?:(?:is|was|are|about|approximately|approx\.?|around|roughly|nearly|almost|exactly|only|just|\\approx|\\sim|~|=|equals?(?: to)?)\s*)+"
)
LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|and|then|finally)\b[, ]*)?(?:(?:final )?answer\s*[:=]\s*|"
    r"(?:the|its|our|a|their)\s+(?:[A-Za-z'-]+\s+){0,7}?(?:is|are|equals|was|=)\s+(?:equal to\s+|given by\s+)?|it is\s+|we (?:get|have|obtain)\s+|there are\s+)",
    re.IGNORECASE,
)


def reads(text: str) -> bool:
    """Whether a text has a mathematical reading: a number, a shape, or an expression."""
    spelled, reasoner = canonical(text), Reasoner()
    if (
        quantity_of(spelled, reasoner)
        or _base_of(spelled)
        or spans_of(spelled)
        or matrix_of(spelled)
        or items_of(spelled)
    ):
        return True
    return all(_is_expression(side) for side in (plus_minus(spelled) or sides_of(spelled)))


def _is_expression(text: str) -> bool:
    try:
        symbolic.parse(text)
    except (Unreadable, TooLarge):
        return False
    return True


class Reasoner:
    """Compares a gold answer with another; remembers why it said yes, and what it could not judge."""

    def __init__(self) -> None:
        self.why = ""
        self.too_large = False

    def same(self, gold: str, answer: str, ordered: bool | None = None) -> bool:
        """Gold first. Raises TooLarge only where nothing else could decide."""
        wanted, given = canonical(gold), _stripped(canonical(answer))
        if not given:
            return False
        if _base_of(wanted) or _base_of(given):
            return self._same_base(wanted, given)
        for name, rule in self._rules(ordered):
            if rule(wanted, given):
                self.why = self.why or name
                return True
        if self.too_large:
            raise TooLarge("the answer is past what can be evaluated")
        return False

    def _same_base(self, gold: str, answer: str) -> bool:
        """52_8 by 52_{8} or 42_{10}; a number without its base is another number."""
        self.why = "base"
        left, right = _base_of(gold), _base_of(answer)
        return left is not None and right is not None and left == right

    def _rules(self, ordered: bool | None) -> list[tuple[str, Callable[[str, str], bool]]]:
        return [
            ("exact", _identical),
            ("interval", self._spans),
            ("matrix", self._matrices),
            ("list", lambda gold, answer: self._lists(gold, answer, ordered)),
            ("relation", self._relations),
            ("value", self._values),
            ("date", _dates),
            ("text", _texts),
        ]

    def _inner(self, gold: str, answer: str) -> bool:
        """Two parts of a larger answer."""
        return (
            _identical(gold, answer)
            or self._relations(gold, answer)
            or self._values(gold, answer)
            or self._nested(gold, answer)
            or _texts(gold, answer)
        )

    def _nested(self, gold: str, answer: str) -> bool:
        left, right = items_of(gold), items_of(answer)
        return left is not None and right is not None and self._lists(gold, answer, None)

    # -- shapes -----------------------------------------------------------------------------------

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
        gold, answer = _unlabelled(gold), _unlabelled(answer)
        left, right = matrix_of(gold), matrix_of(answer)
        if left is None and right is None:
            return False
        if left is not None and right is not None:
            return self._same_matrix(left, right) or (
                1 in (len(left), len(left[0]))
                and self._same_matrix((_flat(left),), (_flat(right),))
                and _is_vector(right)
            )
        vector, other = (left, items_of(answer)) if left is not None else (right, items_of(gold))
        if vector is None or other is None or not _is_vector(vector) or other.brackets == "{}":
            return False
        pair = (_flat(vector), other.items) if left is not None else (other.items, _flat(vector))
        return len(pair[0]) == len(pair[1]) and all(map(self._inner, *pair))

    def _same_matrix(self, gold: Matrix, answer: Matrix) -> bool:
        return [len(row) for row in gold] == [len(row) for row in answer] and all(
            self._inner(a, b)
            for left, right in zip(gold, answer, strict=True)
            for a, b in zip(left, right, strict=True)
        )

    def _lists(self, gold: str, answer: str, ordered: bool | None) -> bool:
        left, right = self._expanded(gold), self._expanded(answer)
        if left is None or right is None:
            return False
        if len(left.items) != len(right.items) or len(left.items) > MOST_ITEMS:
            return False
        by_name = _named(left.items), _named(right.items)
        if by_name[0] and by_name[1]:
            return by_name[0].keys() == by_name[1].keys() and all(
                self._inner(value, by_name[1][name]) for name, value in by_name[0].items()
            )
        if (by_name[0] or by_name[1]) and ordered is None:
            ordered = True
            if all(len({_label(item) for item in each.items}) == 1 for each in (left, right)):
                ordered = False
        counts = ordered if ordered is not None else left.ordered
        if (
            ordered is None
            and len(left.items) == 2
            and left.brackets + right.brackets in ("[]()", "()[]", "()(]", "()[)")
        ):
            return False  # an interval's ends are open or closed
        if counts and (ordered or right.ordered or right.brackets == "  "):
            return all(self._inner(a, b) for a, b in zip(left.items, right.items, strict=True))
        if counts:
            return False
        if left.brackets in ("{}", "  ") and right.brackets == "()" and ordered is None and len(left.items) == 2:
            return False  # a point or an interval is not a set of two
        return _matched(left.items, right.items, self._inner)

    def _expanded(self, text: str) -> Items | None:
        r"""The values of a list, those of each \pm counted by itself; labels of single values dropped."""
        text = re.sub(r"^[A-Za-z](?:_\{?\w+\}?)?\s*(?:\\in|=)\s*(?=\\\{)", "", text)
        sides = sides_of(text)
        if len(sides) == 2 and LABEL.fullmatch(sides[0]) and (items_of(sides[1]) or plus_minus(sides[1])):
            found = items_of(sides[1])
            if not found or not any(EQUALS.search(item) for item in found.items[1:]):
                text = sides[1]
        elif len(sides) == 2 and items_of(sides[0]) and items_of(sides[1]):
            names, values = items_of(sides[0]), items_of(sides[1])
            assert names is not None and values is not None
            if len(names.items) == len(values.items) and all(LABEL.fullmatch(name) for name in names.items):
                return values
        items = items_of(text)
        each = items.items if items else (text,)
        values_of = [value for item in each for value in (plus_minus(item) or (item,))]
        if items is None and len(values_of) == 1:
            return None
        return Items(tuple(values_of), items.brackets if items else "  ")

    def _relations(self, gold: str, answer: str) -> bool:
        """x = 5 by 5, y = 2x + 1 by f(x) = 2x + 1, 2x - y + 1 = 0 by y = 2x + 1."""
        left, right = sides_of(gold), sides_of(answer)
        if len(left) == len(right) == 1:
            return False
        if len(left) == 1:
            return bool(LABEL.fullmatch(right[0]) or _is_arithmetic(right[0])) and self._leaf(gold, right[-1])
        if len(right) == 1:
            return LABEL.fullmatch(left[0]) is not None and left[-1] != "0" and self._leaf(left[-1], answer)
        named = LABEL.fullmatch(left[0]) and LABEL.fullmatch(right[0]) and _same_label(left[0], right[0])
        if named and self._leaf(left[-1], right[-1]):
            return True
        return len(left) == len(right) == 2 and self._judged(
            lambda: symbolic.proportional((left[0], left[1]), (right[0], right[1]))
        )

    def _leaf(self, gold: str, answer: str) -> bool:
        return (
            _identical(gold, answer)
            or self._values(gold, answer)
            or self._matrices(gold, answer)
            or _texts(gold, answer)
        )

    # -- values -----------------------------------------------------------------------------------

    def _values(self, gold: str, answer: str) -> bool:
        """Numbers with or without units, then expressions."""
        answer = APPROXIMATELY.sub("", answer)
        gold = APPROXIMATELY.sub("", gold)
        if spread := self._uncertain(gold, answer):
            return spread == "same"
        return self._measured(gold, answer) or self._ratio(gold, answer) or self._expressions(gold, answer)

    def _uncertain(self, gold: str, answer: str) -> str | None:
        r"""41.8 \pm 0.3, unit or none: centre and spread, each by itself."""
        left, right = _centre_and_spread(gold), _centre_and_spread(answer)
        if left is None or right is None:
            return None
        return "same" if all(self._measured(a, b) for a, b in zip(left, right, strict=True)) else "other"

    def _measured(self, gold: str, answer: str) -> bool:
        """Two numbers, the units of either told apart and converted."""
        left_whole, right_whole = number_of(gold, self), number_of(answer, self)
        if left_whole is not None and right_whole is not None:
            return near_enough(left_whole, right_whole)
        left, right = _with_unit(gold, left_whole, self), _with_unit(answer, right_whole, self)
        if left is None or right is None:
            return False
        (wanted, wanted_unit), (given, given_unit) = left, right
        if not wanted_unit or not given_unit:
            return _unit_dropped(wanted, wanted_unit, given, given_unit)
        scale = units.factor(given_unit, wanted_unit)
        if scale is None:
            known = units.is_unit(wanted_unit) and units.is_unit(given_unit)
            return not known and units.same_noun(wanted_unit, given_unit) and near_enough(wanted, given)
        return near_enough(wanted, _scaled(given, scale))

    def _ratio(self, gold: str, answer: str) -> bool:
        """3:2 by 3/2 or 6:4."""
        left, right = _ratio_of(gold), _ratio_of(answer)
        if left is None and right is None:
            return False
        values = [ratio if ratio is not None else text for ratio, text in ((left, gold), (right, answer))]
        return self._measured(*values)

    def _expressions(self, gold: str, answer: str) -> bool:
        if self._judged(lambda: symbolic.equal_expressions(gold, answer)):
            return True
        left, right = units.split_unit(gold), units.split_unit(answer)
        if left and units.is_unit(left[1]) and not right and _has_letters(left[0]):
            return self._judged(lambda: symbolic.equal_expressions(left[0], answer))
        if right and units.is_unit(right[1]) and not left and _has_letters(right[0]):
            return self._judged(lambda: symbolic.equal_expressions(gold, right[0]))
        return False

    def _judged(self, question: Callable[[], bool]) -> bool:
        try:
            return question()
        except Unreadable:
            return False
        except TooLarge:
            self.too_large = True
            return False

    def number(self, text: str) -> Any:
        try:
            return symbolic.value_of(text)
        except Unreadable:
            return None
        except TooLarge:
            self.too_large = True
            return None


def number_of(text: str, reasoner: Reasoner) -> Number | None:
    """A literal, words, or an expression without symbols that is real."""
    text = text.strip()
    if found := literal(text) or in_words(text):
        return found
    if repeating := re.fullmatch(
        r"([+-]?\d*)\.(\d*?)(?:\\overline\{?(\d+)\}?|\((\d+)\)|(\d+?)\5{1,}(?:\\ldots|\.\.\.))", text
    ):
        return Number(_repeating(repeating[1], repeating[2], repeating[3] or repeating[4] or repeating[5]))
    if annotated := re.fullmatch(r"([a-z -]+?|[\d.,]+)\s*\((.+)\)", text):
        inner, outer = number_of(annotated[2], reasoner), number_of(annotated[1], reasoner)
        return outer if inner is not None and outer is not None and near_enough(outer, inner) else None
    if scaled := re.fullmatch(r"([+-]?[\d.,]+)\s*(thousand|million|billion|trillion)", text):
        base = literal(scaled[1])
        return (
            None
            if base is None
            else _scaled(
                base,
                Fraction({"t": 10**3, "m": 10**6, "b": 10**9}[scaled[2][0]] if scaled[2] != "trillion" else 10**12),
            )
        )
    if (
        re.search(r"%|\\circ|\\\$|[$€£¥¢]", text)
        or not re.search(r"\d|\\pi|(?<![A-Za-z])e(?![A-Za-z])", text)
        or not (
            re.fullmatch(r"[^A-Za-z]*(?:(?:\\[A-Za-z]+|e|i)[^A-Za-z]*)*", text)
            or re.search(r"\\(?:sum|prod|int)", text)
        )
    ):
        return None
    value = reasoner.number(text)
    if value is None:
        return None
    real, imaginary = (value.real, value.imag) if hasattr(value, "imag") else (value, 0)
    if abs(imaginary) > 1e-25 * max(1, abs(real)):
        return None
    digits = [re.sub(r"^0+", "", number.replace(".", "")) for number in re.findall(r"\d*\.\d+", text)]
    if not abs(real) < 10**30:
        return None
    exact = symbolic.as_fraction(real)
    if digits and exact:
        fewest = max(1, min(map(len, digits)))
        return Number(exact, abs(exact) * Fraction(10) ** -fewest, fewest)
    return Number(exact)


def _repeating(whole: str, plain: str, period: str) -> Fraction:
    sign = -1 if whole.startswith("-") else 1
    shift = 10 ** len(plain)
    nines = 10 ** len(period) - 1
    head = Fraction(int(whole.lstrip("+-") or 0)) + (Fraction(int(plain), shift) if plain else 0)
    return sign * (head + Fraction(int(period), nines * shift))


def quantity_of(text: str, reasoner: Reasoner) -> tuple[Number, str] | None:
    """A canonical text as (value, unit), the unit empty for a bare number; None for anything else."""
    return _with_unit(text, number_of(text, reasoner), reasoner)


def _with_unit(text: str, whole: Number | None, reasoner: Reasoner) -> tuple[Number, str] | None:
    """(value, unit); the unit is empty for a bare number."""
    if whole is not None:
        return whole, ""
    if summed := units.compound(text):
        return summed
    parts = units.split_unit(text)
    if parts is None:
        return None
    value = re.sub(r"(?<=\d)\s+10\s*\^", r" \\times 10^", parts[0])
    unit = parts[1]
    if power := re.match(r"10\s*\^\s*\{?([+-]?\d+)\}?\s*", unit):
        value, unit = rf"{value} \times 10^{{{power[1]}}}", unit[power.end() :]
    number = number_of(value, reasoner)
    return None if number is None else (number, unit)


def _unit_dropped(wanted: Number, wanted_unit: str, given: Number, given_unit: str) -> bool:
    """One of the two has no unit: a quantity by its bare number; percent also by its hundredth."""
    if not units.may_be_dropped(wanted_unit or given_unit):
        return False
    if units.is_percent(wanted_unit):
        return near_enough(wanted, given) or near_enough(_scaled(wanted, Fraction(1, 100)), given)
    if units.is_percent(given_unit):
        return near_enough(wanted, _scaled(given, Fraction(1, 100)))
    return near_enough(wanted, given)


def _scaled(number: Number, scale: Fraction) -> Number:
    quantum = None if number.quantum is None else number.quantum * abs(scale)
    return Number(number.value * scale, quantum, number.digits, number.whole and scale == 1)


def _centre_and_spread(text: str) -> tuple[str, str] | None:
    if short := re.fullmatch(r"([+-]?\d+(?:\.(\d+))?)\((\d+)\)", text):
        return short[1], str(Fraction(int(short[3]), 10 ** len(short[2] or "")).__float__())
    found = re.fullmatch(r"\(?\s*([+-]?\d[\d.]*)\s*(?:\\pm|\+/-|\+-)\s*(\d[\d.]*)\s*\)?\s*([A-Za-z\\^{}].*)?", text)
    if not found or "." not in found[1] + found[2]:
        return None
    unit = found[3] or ""
    return f"{found[1]} {unit}".strip(), f"{found[2]} {unit}".strip()


BASES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
BASES |= {"twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "hexadecimal": 16}


def _base_of(text: str) -> int | None:
    """The value of 52_8, (52)_{eight} or 52 (base 8); None without a base."""
    text = re.sub(r"\s*\(?\s*(?:in )?base[\s-]*(\w+)\s*\)?$", r"_{\1}", text.replace(" _", "_"))
    found = re.fullmatch(r"\(?([0-9A-Fa-f]+)\)?_\{?\s*(\d+|[a-z]+)\s*\}?", text)
    base = (int(found[2]) if found[2].isdigit() else BASES.get(found[2], 0)) if found else 0
    if not found or not 2 <= base <= 36 or len(found[1]) > 64:
        return None
    try:
        return int(found[1], base)
    except ValueError:
        return None


def _ratio_of(text: str) -> str | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?::|\bto\b)\s*(\d+(?:\.\d+)?)", text)
    return rf"\frac{{{found[1]}}}{{{found[2]}}}" if found else None


def _identical(gold: str, answer: str) -> bool:
    return re.sub(r"\s+", "", gold) == re.sub(r"\s+", "", answer)


def _texts(gold: str, answer: str) -> bool:
    """Words by words; nothing that is mathematics."""
    return (
        re.search(r"[A-Za-z]{2}", gold) is not None and not re.search(r"[\\^=<>+*/]", gold) and same_text(gold, answer)
    )


def _dates(gold: str, answer: str) -> bool:
    for reading in (date_of, clock_of):
        wanted = reading(gold)
        if wanted is not None:
            return wanted == reading(answer)
    return False


def _stripped(text: str) -> str:
    """An answer without the words that lead to it."""
    return re.sub(r"\s*\(?\b(?:approximately|approx)\.?\)?$", "", LEAD.sub("", text)).strip()


def _unlabelled(text: str) -> str:
    sides = sides_of(text)
    return sides[-1] if len(sides) == 2 and LABEL.fullmatch(sides[0]) else text


def _named(items: Sequence[str]) -> dict[str, str]:
    """x = 3, y = 4 by name; empty unless every item has a name of its own."""
    pairs = [sides_of(item) for item in items]
    if not all(len(pair) == 2 and LABEL.fullmatch(pair[0]) for pair in pairs):
        return {}
    named = {pair[0].replace(" ", ""): pair[1] for pair in pairs}
    return named if len(named) == len(items) else {}


def _label(item: str) -> str:
    sides = sides_of(item)
    return sides[0] if len(sides) == 2 else ""


def _same_label(left: str, right: str) -> bool:
    """Equal names; y, f(x) and y(x) are names of one function; words name nothing in particular."""
    left, right = (re.sub(r"[\s{}]|\\mathrm", "", label) for label in (left, right))
    if left.casefold() == right.casefold():
        return True
    functions = [re.fullmatch(r"(?:[fghyu]|[a-z]\([a-z]\))", label) is not None for label in (left, right)]
    if all(functions) and any("(" in label for label in (left, right)):
        return True
    return any(re.fullmatch(r"[A-Za-z]{3,}", label) for label in (left, right))


def _is_arithmetic(text: str) -> bool:
    return (
        re.fullmatch(r"[\d\s+*/().^{}-]+|[\d\s+*/().^{}\\a-z-]*\\(?:times|cdot|frac|sqrt)[\d\s+*/().^{}\\a-z-]*", text)
        is not None
    )


def _has_letters(text: str) -> bool:
    return re.search(r"(?<!\\)\b[A-Za-z]\b|\\[a-z]+", text) is not None


def _is_vector(matrix: Matrix) -> bool:
    return len(matrix) == 1 or len(matrix[0]) == 1


def _flat(matrix: Matrix) -> tuple[str, ...]:
    return tuple(entry for row in matrix for entry in row)


def _matched(left: Sequence[Any], right: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """A one-to-one match, whatever the order; equality is taken as transitive."""
    rest = list(right)
    for one in left:
        index = next((i for i, other in enumerate(rest) if same(one, other)), None)
        if index is None:
            return False
        del rest[index]
    return not rest
