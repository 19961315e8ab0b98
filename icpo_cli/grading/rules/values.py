"""Expressions compared by value: constants exactly or to more than 100 digits, others at points for their names."""

import random
import re
from collections.abc import Callable
from fractions import Fraction

import mpmath

from icpo_cli.grading.rules.arithmetic import Value, divide, exact, inexact
from icpo_cli.grading.rules.cursor import Unreadable
from icpo_cli.grading.rules.expressions import Expression, Point, combined, parse

DIGITS = 60
"""Decimal digits of values at points; constants have twice as many and those of the numbers in the text."""
ROUGH = 1e-9
"""Relative tolerance of an infinite sum, an integral or a limit, which are found numerically."""
CONSTANT = re.compile(r"[cCkKAB](?:_\d)?")
"""Names of constants of integration."""

Renaming = dict[str, str]
"""{name in the answer: name in the gold}."""


def value_of(text: str) -> Value | None:
    """The Fraction or the mpmath value of a text without unknowns; None for other text. Raises TooLarge."""
    try:
        expression = parse(text)
    except Unreadable:
        return None
    if expression.names or expression.marks & {"unknown", "degree"}:
        return None
    with mpmath.workdps(_digits(text)):
        return _at(expression, {})


def _digits(text: str) -> int:
    return 2 * DIGITS + sum(map(str.isdigit, text))


def _at(expression: Expression, point: Point) -> Value | None:
    """The value at a point; None if there is none."""
    try:
        value = expression.value(point)
    except (KeyError, ZeroDivisionError, ValueError, TypeError, ArithmeticError, mpmath.libmp.NoConvergence):
        return None
    return value if exact(value) or not (mpmath.isnan(value) or mpmath.isinf(value)) else None


def equal_expressions(gold: str, answer: str) -> bool:
    """Whether two expressions agree: as constants, or at several points. Raises Unreadable or TooLarge."""
    left, right = parse(gold), parse(answer)
    rough = "rough" in left.marks | right.marks
    tolerance = ROUGH if rough else _tolerance(f"{gold} {answer}")
    digits = DIGITS // 2 if rough else DIGITS if left.names | right.names else _digits(gold + answer)
    with mpmath.workdps(digits):
        return any(_agree(left, right, renaming, tolerance) for renaming in _renamings(left, right))


def _tolerance(text: str) -> float:
    """Half a unit in the last place of the roughest decimal of four digits or more; 0 if all are exact."""
    tolerances = [0.0]
    for decimal in re.findall(r"\d*\.\d+", text):
        places, value = len(decimal.partition(".")[2]), float(decimal)
        if value and (places > 2 or len(decimal.replace(".", "").lstrip("0")) > 3):
            tolerances.append(min(1e-3, 0.501 * 10.0**-places / value))
    return max(tolerances)


def _agree(left: Expression, right: Expression, renaming: Renaming, tolerance: float) -> bool:
    """Whether both are equal at every point where both have a value, and at three points or more."""
    agreed, real = 0, True
    points = _points(left, right, renaming)
    for point, theirs in points:
        one, other = _at(left, point), _at(right, theirs)
        if one is None or other is None:
            continue
        both_real = _is_real(one) and _is_real(other)
        if real and not both_real and any(value < 0 for value in point.values()):
            continue  # another branch of a root or a logarithm
        real = real and both_real
        if not _close(one, other, tolerance):
            return False
        agreed += 1
    return agreed >= min(3, len(points))


def _close(one: Value, other: Value, tolerance: float = 0.0) -> bool:
    """Equal rational numbers, or others within the tolerance or to nearly all digits."""
    if exact(one, other) and not tolerance:
        return bool(one == other)
    one, other = inexact(one), inexact(other)
    least = mpmath.mpf(10) ** (20 - mpmath.mp.dps)
    floor = mpmath.mpf(10) ** -30 if tolerance else 1
    return bool(abs(one - other) <= max(tolerance, least) * max(abs(one), abs(other), floor))


def _is_real(value: Value) -> bool:
    return bool(abs(value.imag) < 1e-20)


def _points(left: Expression, right: Expression, renaming: Renaming) -> list[tuple[Point, Point]]:
    """Values of the gold's names and of the answer's: between 0 and 2, where roots are real, then in wider ranges.

    Whole numbers, if there is a factorial, a binomial coefficient or a sum. One point without names.
    """
    unknown = sorted(left.names | {renaming.get(name, name) for name in right.names})
    if not unknown:
        return [({}, {})]
    draw = random.Random(20)
    spans = [(303, 907), (1109, 1907), (303, 907), (1109, 1907), (2111, 5003), (-1511, -211)]
    if "whole" in left.marks | right.marks:
        points = [{name: Fraction(draw.randrange(least, least + 4)) for name in unknown} for least in (2, 3, 5, 6, 8)]
    else:
        points = [{name: Fraction(draw.randrange(*span), 1009) for name in unknown} for span in spans]
    return [(point, {name: point[renaming.get(name, name)] for name in right.names}) for point in points]


# Equations


def same_solutions(gold: tuple[str, str], answer: tuple[str, str]) -> bool:
    """Whether two equations have the same solutions. Raises Unreadable or TooLarge.

    The differences of their sides are multiples of each other, or linear in a shared unknown with equal roots.
    """
    left, right = (
        combined(lambda one, other: inexact(one) - inexact(other), map(parse, sides)) for sides in (gold, answer)
    )
    with mpmath.workdps(DIGITS):
        return any(
            _same_zeros(left, right, renaming)
            for renaming in _renamings(left, right)
            if left.names and left.names == {renaming.get(name, name) for name in right.names}
        )


def _same_zeros(left: Expression, right: Expression, renaming: Renaming) -> bool:
    points = _points(left, right, renaming)
    if _constant([(_at(left, ours), _at(right, theirs)) for ours, theirs in points], divide):
        return True
    for name in right.names:
        roots = [
            (_linear_root(left, renaming.get(name, name), ours), _linear_root(right, name, theirs))
            for ours, theirs in points
        ]
        known = [(one, other) for one, other in roots if one is not None and other is not None]
        # An unknown that is a factor has the root 0, whatever else the equation says.
        if len(known) >= 3 and known[0][0] and all(_close(one, other, ROUGH) for one, other in known):
            return True
    return False


def _constant(pairs: list[tuple[Value | None, Value | None]], operation: Callable[[Value, Value], Value]) -> bool:
    """Whether the quotients of the pairs are one number."""
    ratios = [
        operation(one, other) for one, other in pairs if one is not None and other is not None and abs(other) > 1e-12
    ]
    return (
        len(ratios) >= min(3, len(pairs))
        and abs(ratios[0]) > 1e-12
        and all(_close(r, ratios[0], ROUGH) for r in ratios)
    )


def _linear_root(side: Expression, name: str, point: Point) -> Value | None:
    """The root in a name at a point, if the expression is linear in it there; else None."""
    values: list[Value] = [_at(side, {**point, name: Fraction(value)}) for value in (1, 2, 3)]
    if None in values:
        return None
    slope = values[1] - values[0]
    if abs(slope) < 1e-12 or abs(values[2] - values[1] - slope) > 1e-15 * max(abs(values[2]), 1):
        return None
    return 1 - values[0] / slope


# Names that may differ


def _renamings(left: Expression, right: Expression) -> list[Renaming]:
    """Ways to rename the answer's names: derivatives with and without a variable, and constants of integration."""
    base = _derivatives(left.names, right.names)
    theirs = {base.get(name, name) for name in right.names}
    missing, extra = sorted(left.names - theirs), sorted(theirs - left.names)
    if not missing and not extra:
        missing = extra = sorted(name for name in left.names if CONSTANT.fullmatch(name))
        if len(missing) != 2:
            return [base]
    names = (*missing, *extra)
    if (
        len(missing) != len(extra)
        or len(missing) > 2
        or not all(map(CONSTANT.fullmatch, names))
        or not _is_free(left, missing)
    ):
        return [base]
    return [base | dict(zip(order, missing, strict=True)) for order in (extra, extra[::-1])]


def _derivatives(ours: frozenset[str], theirs: frozenset[str]) -> Renaming:
    """Renaming of derivatives of which one answer gives the variable and the other writes primes."""
    variables = {name.partition("|")[2] for name in ours | theirs if "'|" in name}
    if len(variables) != 1 or r"\partial" in str(variables):
        return {}
    [variable] = variables
    other = {name: name.partition("|")[0] if "|" in name else f"{name}|{variable}" for name in theirs if "'" in name}
    return {name: new for name, new in other.items() if new in ours and name not in ours}


def _is_free(expression: Expression, constants: list[str]) -> bool:
    """Whether the names are constants of integration: one that is added, or factors of a general solution.

    A general solution is linear in them, and has an exponential, or two of them a wave.
    """
    solves = "exponential" in expression.marks or (len(constants) == 2 and "wave" in expression.marks)
    if expression.names <= set(constants):
        return False
    for point, _ in _points(expression, expression, {})[:2]:
        zero = {**point, **dict.fromkeys(constants, Fraction(0))}
        for name in constants:
            values: list[Value] = [_at(expression, {**zero, name: Fraction(value)}) for value in (0, 1, 3)]
            if None in values:
                return False
            first, second = values[1] - values[0], values[2] - values[1]
            if abs(second - 2 * first) > 1e-15 or not (solves or (len(constants) == 1 and abs(first) == 1)):
                return False
    return True
