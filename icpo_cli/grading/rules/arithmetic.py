"""Arithmetic of exact fractions, else of mpmath numbers. Every operation checks the size of its result."""

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath

MAX_DIGITS = 20_000
"""Maximum decimal digits of any intermediate number."""
MAX_TERMS = 2_000
"""Maximum terms of a sum or product over a variable."""

Value = Any
"""A Fraction, or an mpmath number."""


class TooLarge(Exception):
    """The expression exceeds a bound, so it is not evaluated."""


def inexact(value: Value) -> Value:
    """The value as an mpmath number."""
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def exact(*values: Value) -> bool:
    return all(isinstance(value, Fraction) for value in values)


def is_whole(value: Value) -> bool:
    return isinstance(value, Fraction) and value.denominator == 1


def _size(value: Fraction) -> float:
    """Decimal digits of numerator or denominator."""
    return max(abs(value.numerator), value.denominator).bit_length() * math.log10(2)


def _checked(value: Value) -> Value:
    if isinstance(value, Fraction) and _size(value) > MAX_DIGITS:
        raise TooLarge("a number too large to evaluate")
    return value


def add(*values: Value) -> Value:
    return _checked(sum(values, Fraction(0))) if exact(*values) else sum(map(inexact, values), mpmath.mpf(0))


def multiply(left: Value, right: Value) -> Value:
    return _checked(left * right) if exact(left, right) else inexact(left) * inexact(right)


def divide(left: Value, right: Value) -> Value:
    return _checked(left / right) if exact(left, right) else inexact(left) / inexact(right)


def power(base: Value, exponent: Value) -> Value:
    if is_whole(exponent) and exact(base):
        if abs(int(exponent)) * _size(base) > MAX_DIGITS and base not in (0, 1, -1):
            raise TooLarge("a power too large to evaluate")
        return base ** int(exponent)
    base, exponent = inexact(base), inexact(exponent)
    if base and abs(exponent) * abs(mpmath.log(abs(base))) > MAX_DIGITS:
        raise TooLarge("a power too large to evaluate")
    return mpmath.power(base, exponent)


def root(value: Value, index: Value = Fraction(2)) -> Value:
    if is_whole(index) and isinstance(value, Fraction) and value < 0 and index % 2 == 1:
        return -root(-value, index)
    if isinstance(value, Fraction) and index == 2 and value >= 0:
        whole = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
        if whole**2 == value:
            return whole
    return power(value, divide(Fraction(1), index))


def factorial(value: Value, step: int = 1) -> Value:
    if abs(value) > MAX_DIGITS / 4:
        raise TooLarge("a factorial too large to evaluate")
    if is_whole(value) and value >= 0:
        return Fraction(math.prod(range(int(value), 0, -step)))
    return mpmath.factorial(inexact(value)) if step == 1 else mpmath.fac2(inexact(value))


def binomial(n: Value, k: Value) -> Value:
    if abs(n) > MAX_DIGITS or abs(k) > MAX_DIGITS:
        raise TooLarge("a binomial coefficient too large to evaluate")
    if is_whole(n) and is_whole(k) and n >= 0 <= k:
        return Fraction(math.comb(int(n), int(k)))
    return mpmath.binomial(inexact(n), inexact(k))


def _repeated(low: Value, high: Value, term: Callable[[Value], Value], product: bool) -> Value:
    """The sum or product of the terms from `low` to `high`."""
    if high == mpmath.inf:
        find = mpmath.nprod if product else mpmath.nsum
        return find(lambda k: inexact(term(Fraction(int(k)))), [int(low), high])
    if not is_whole(low) or not is_whole(high):
        raise ValueError("no whole bounds")
    if high - low > MAX_TERMS:
        raise TooLarge("a sum or product of too many terms")
    total: Value = Fraction(product)
    for k in range(int(low), int(high) + 1):
        total = (multiply if product else add)(total, term(Fraction(k)))
    return total


OVER: dict[str, Callable[..., Value]] = {
    r"\sum": lambda low, high, term: _repeated(low, high, term, product=False),
    r"\prod": lambda low, high, term: _repeated(low, high, term, product=True),
    r"\int": lambda low, high, f: mpmath.quad(lambda x: inexact(f(x)), [inexact(low), inexact(high)]),
    r"\lim": lambda end, f: mpmath.limit(lambda x: inexact(f(x)), inexact(end)),
}
"""Operations over a variable: of their ends, and a function."""


def unknown(name: str, *values: Value) -> Value:
    """The value of a function that is only a name: the same for equal arguments, another for others."""
    key = ",".join(mpmath.nstr(inexact(value), 15) for value in values)
    return Fraction(random.Random(f"{name}:{key}").randrange(10**6, 10**7), 10**7)
