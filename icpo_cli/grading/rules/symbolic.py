"""Expressions: parsed from LaTeX by latex2sympy (math-verify's parser), compared by value at random points.

Nothing is evaluated before its size is checked. Runs in a sandbox worker, whose deadline stops the remaining cases.
"""

import math
import random
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from sympy.core.function import AppliedUndef

from icpo_cli.grading.rules.brackets import balanced, depth_of

MAX_CHARS = 600
"""Maximum characters of an expression."""
MAX_DEPTH = 24
"""Maximum depth of nested brackets."""
MAX_NODES = 400
MAX_LOG10 = 20_000.0
"""Maximum log10 of any intermediate number."""
SYMBOL_LOG10 = 0.5
"""Approximate log10 of the values that replace symbols."""
MAX_TERMS = 1e5
PRECISION = 40
"""Decimal digits of evaluation."""
POINTS = 4

NO_EXPRESSION = re.compile(r"(?<![\\A-Za-z_{])[A-Za-z]{4,}|0x[0-9A-Fa-f]|\d\.\d+\.\d")
"""Words, hexadecimal numbers and addresses, which the parser would read as commutative products."""

UNFINISHED = re.compile(r"[-+*/^=]\s*$|\^\s*(?:\{[^{}]*\}|\w)\s*\^")
"""A final operator, or a power of a power without brackets: the parser needs exponential time for them."""
CONVERSION = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)


class TooLarge(Exception):
    """The expression exceeds a bound, so it is not evaluated."""


class Unreadable(Exception):
    """The parser cannot read the expression."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Any:
    """Parse a canonical text into a sympy object. Raises Unreadable or TooLarge."""
    if len(text) > MAX_CHARS or depth_of(text) > MAX_DEPTH or re.search(r"\d{1000}", text):
        raise TooLarge("longer or deeper than an answer may be")
    if re.search(r"\d{6,}\s*\}?\s*!|binom\{?\d{6,}", text):
        raise TooLarge("a factorial or binomial of a huge number")
    if NO_EXPRESSION.search(text) or UNFINISHED.search(text):
        raise Unreadable(text)
    if not text or not balanced(text) or re.search(r"\\(?:input|def|write|include|csname|begin|end|href|url)\b", text):
        raise Unreadable(text)
    try:
        parsed = latex2sympy(
            _prepared(text),
            is_real=None,
            convert_degrees=False,
            normalization_config=None,
            conversion_config=CONVERSION,
        )
    except RecursionError:
        raise TooLarge("deeper than the parser can go") from None
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # the parser raises bare Exceptions
        raise Unreadable(str(error)[:80]) from None
    if not isinstance(parsed, sympy.Basic | sympy.MatrixBase):
        raise Unreadable(text)
    check_size(parsed)
    return parsed


def _prepared(text: str) -> str:
    """Rewrite notation that latex2sympy misreads."""
    text = re.sub(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?!\d)", lambda m: m[0].replace(",", ""), text)
    text = re.sub(r"(?<![\d.{_])(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}", r"(\1+\\frac{\2}{\3})", text)
    text = re.sub(r"(?<![\d.}^_/])(\d+)\s+(\d+)\s*/\s*(\d+)(?!\d)", r"(\1+\\frac{\2}{\3})", text)
    # latex2sympy adds adjacent terms, as in a mixed number.
    text = re.sub(
        r"((?<![_^])\d|\\(?:frac|binom)\{[^{}]*\}\{[^{}]*\})\s*(?=\(|\\(?:frac|binom|sqrt))", r"\1 \\cdot ", text
    )
    text = re.sub(
        r"(?<=\))\s*(?=[\d(A-Za-z\\])(?!\\(?:cdot|times|div|over|in|le|ge|ne|pm|to|cup|cap))", r" \\cdot ", text
    )
    if re.search(r"\\(?:sin|cos|tan|cot|sec|csc)", text):
        text = re.sub(r"(\d+(?:\.\d+)?)\s*\^\{\\circ\}", r"(\1 \\cdot \\pi/180)", text)
    text = re.sub(r"([A-Za-z])('+)_(?:\{(\w+)\}|(\w))", lambda m: f"{m[1]}_{{{'p' * len(m[2])}{m[3] or m[4]}}}", text)
    text = re.sub(r"([A-Za-z])('+)", lambda m: f"{m[1]}_{{{'p' * len(m[2])}}}", text)
    text = re.sub(r"(?<![A-Za-z\\])([eE])(?=_)", lambda m: {"e": r"\xi ", "E": r"\Xi "}[m[1]], text)
    text = re.sub(r"\\lg(?![a-z])", r"\\log_{10}", text)
    text = re.sub(r"(?<![\\A-Za-z])([A-Za-z])(\d+)", r"\1_{\2}", text)  # x1 is x_1, not x times 1
    text = text.replace("*", r" \cdot ").replace(r"\hbar", r"h_{b}").replace(r"\ell", "l_{l}").replace(r"\odot", "o")
    text = re.sub(r"\\(?:hat|vec|bar|tilde|dot|ddot)\s*\{?\s*([A-Za-z])\s*\}?", r"\1_{h}", text)
    text = re.sub(r"\\(?:mathbb|mathcal|mathscr)\s*\{?([A-Za-z])\}?", r"\1", text)
    return text.replace("%", r"\%").replace("\\\\%", r"\%")


def check_size(expression: Any) -> None:
    """Raise TooLarge if evaluation could take long."""
    if isinstance(expression, sympy.MatrixBase):
        for entry in expression.flat():
            check_size(entry)
        return
    for count, _ in enumerate(sympy.preorder_traversal(expression)):
        if count > MAX_NODES:
            raise TooLarge("more parts than an answer may have")
    _log10(expression)


def _log10(expression: Any) -> float:
    """log10 of an upper bound on a number's size. Raises TooLarge above MAX_LOG10."""
    size = _log10_of(expression)
    if not size <= MAX_LOG10:
        raise TooLarge("a number too large to evaluate")
    return size


def _log10_of(expression: Any) -> float:
    if isinstance(expression, sympy.Integer | sympy.Rational):
        digits = max(abs(int(expression.p)), abs(int(expression.q)), 1).bit_length()
        return digits * math.log10(2)
    if isinstance(expression, sympy.Float):
        return abs(math.log10(abs(expression))) if expression else 0.0
    sizes = [_log10(argument) for argument in expression.args]
    if not sizes:
        return SYMBOL_LOG10
    if isinstance(expression, sympy.Pow | sympy.exp):
        base, exponent = (sizes[0], sizes[1]) if len(sizes) == 2 else (0.5, sizes[0])
        return max(base, 0.5) * 10 ** min(exponent, 30.0)
    if isinstance(expression, sympy.factorial | sympy.gamma):
        n = 10 ** min(sizes[0], 30.0)
        return n * max(math.log10(n), 1.0)
    if isinstance(expression, sympy.Sum | sympy.Product):
        terms = 10 ** max((_log10(bound) for _, *bounds in expression.limits for bound in bounds), default=0.0)
        if terms > MAX_TERMS:
            raise TooLarge("a sum or product of too many terms")
        return sizes[0] * terms
    return sum(sizes)


def value_of(text: str) -> Any:
    """The real or complex value of a canonical text (mpmath), or None if it contains symbols."""
    parsed = parse(text)
    if not isinstance(parsed, sympy.Expr) or _symbols(parsed):
        return None
    return _at(parsed, {})


def as_fraction(value: Any) -> Fraction:
    """A real mpmath number as a simple fraction if one matches nearly all digits, else as the exact one."""
    exact = Fraction(mpmath.nstr(value, PRECISION - 4))
    simple = exact.limit_denominator(10**12)
    return simple if abs(simple - exact) < Fraction(1, 10**30) else exact


def equal_expressions(gold: str, answer: str) -> bool:
    """Whether two expressions agree at random points, to PRECISION / 2 digits, or to the digits of written decimals.

    Raises Unreadable or TooLarge.
    """
    left, right = parse(gold), parse(answer)
    if isinstance(left, sympy.MatrixBase) or isinstance(right, sympy.MatrixBase):
        return False
    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return bool(left == right)
    tolerance = _tolerance(gold, answer)
    return any(_agree(left, renamed, tolerance) for renamed in _renamings(left, right))


def same_solutions(gold: tuple[str, str], answer: tuple[str, str]) -> bool:
    """Whether two equations have the same solutions. Raises Unreadable or TooLarge.

    The differences of their sides are multiples of each other, or linear in a shared unknown with equal roots.
    """
    sides = [parse(side) for side in (*gold, *answer)]
    if not all(isinstance(side, sympy.Expr) for side in sides):
        return False
    left, right = sides[0] - sides[1], sides[2] - sides[3]
    for renamed in _renamings(left, right):
        if {str(unknown) for unknown in _symbols(left)} != {str(unknown) for unknown in _symbols(renamed)}:
            continue
        points = _points(left, renamed)
        if _multiples(left, renamed, points):
            return True
        if any(_same_roots(left, renamed, unknown, points) for unknown in _symbols(left)):
            return True
    return False


def _multiples(left: Any, right: Any, points: list[dict[Any, Any]]) -> bool:
    pairs = [(_at(left, point), _at(right, point)) for point in points]
    ratios = [one / other for one, other in pairs if one is not None and other is not None and abs(other) > 1e-12]
    return len(ratios) >= 3 and abs(ratios[0]) > 1e-12 and all(_close(ratio, ratios[0]) for ratio in ratios)


def _same_roots(left: Any, right: Any, unknown: Any, points: list[dict[Any, Any]]) -> bool:
    roots = [(_linear_root(left, unknown, point), _linear_root(right, unknown, point)) for point in points]
    known = [(one, other) for one, other in roots if one is not None and other is not None]
    return len(known) >= 3 and all(_close(one, other) for one, other in known)


def _close(one: Any, other: Any) -> bool:
    return bool(abs(one - other) <= 1e-9 * abs(other))


def _linear_root(side: Any, unknown: Any, point: dict[Any, Any]) -> Any:
    """The root in the unknown at a point, if the expression is linear in it there; else None."""
    at = [_at(side, {**point, unknown: mpmath.mpf(value)}) for value in (1, 2, 3)]
    if None in at:
        return None
    slope = at[1] - at[0]
    if abs(slope) < 1e-12 or abs(at[2] - at[1] - slope) > 1e-15 * max(abs(at[2]), 1):
        return None
    return 1 - at[0] / slope


def _tolerance(gold: str, answer: str) -> float:
    """Relative tolerance: half a unit in the last digit of the shortest decimal, at most 1e-3; else exact."""
    decimals = [re.sub(r"^0+|\.", "", number) for number in re.findall(r"\d*\.\d+", f"{gold} {answer}")]
    significant = [len(digits.lstrip("0")) for digits in decimals]
    exact = all(len(number.partition(".")[2]) <= 2 for number in re.findall(r"\d*\.\d+", f"{gold} {answer}"))
    if not significant or exact:
        return 10.0 ** -(PRECISION // 2)
    return min(1e-3, 0.5 * 10.0 ** (1 - min(significant)))


def _agree(left: Any, right: Any, tolerance: float) -> bool:
    """Whether both are equal at every point where both have a value, and at three points or more."""
    if left == right:
        return True
    agreed, real = 0, True
    for point in _points(left, right):
        one, other = _at(left, point), _at(right, point)
        if one is None or other is None:
            continue
        if any(value < 0 for value in point.values()) and real and not (is_real(one) and is_real(other)):
            continue  # another branch of a root or a logarithm
        real = real and is_real(one) and is_real(other)
        if abs(one - other) > tolerance * max(abs(one), abs(other), mpmath.mpf(10) ** -30):
            return False
        agreed += 1
    return agreed >= (3 if _symbols(left) | _symbols(right) else 1)


def is_real(value: Any) -> bool:
    return bool(abs(getattr(value, "imag", 0)) < 1e-20)


def _points(left: Any, right: Any) -> list[dict[Any, Any]]:
    """Values of all unknowns: between 0 and 2, where roots and logarithms are real, then in wider ranges."""
    unknown = sorted(_symbols(left) | _symbols(right), key=str)
    draw = random.Random(20)
    spans = [(0.3, 0.9), (1.1, 1.9)] * (POINTS // 2) + [(2.1, 5.0), (-1.5, -0.2)]
    return [{name: mpmath.mpf(draw.uniform(*span)) for name in unknown} for span in spans]


def _at(expression: Any, point: dict[Any, Any]) -> Any:
    """The value at a point, or None."""
    with mpmath.workdps(PRECISION):
        try:
            value = _evaluate(expression, point)
            return None if mpmath.isnan(value) or mpmath.isinf(value) else value
        except (ZeroDivisionError, ValueError, TypeError, ArithmeticError, mpmath.libmp.NoConvergence):
            return None


def _evaluate(expression: Any, point: dict[Any, Any]) -> Any:
    """Evaluate by mpmath for common nodes, by sympy for others."""
    if expression in point:
        return point[expression]
    if isinstance(expression, sympy.Symbol) and expression.name == "i":
        return mpmath.mpc(0, 1)
    if isinstance(expression, sympy.Rational):
        return mpmath.mpf(int(expression.p)) / int(expression.q)
    if isinstance(expression, sympy.Float):
        return mpmath.mpf(str(expression))
    values = NODES.get(type(expression))
    if values is not None:
        return values(*[_evaluate(argument, point) for argument in expression.args])
    exact = expression.subs({name: sympy.Float(str(value), PRECISION) for name, value in point.items()}).doit()
    number = exact.evalf(PRECISION)
    real, imaginary = number.as_real_imag()
    if not (real.is_Number and imaginary.is_Number):
        raise ValueError("has no value")
    return mpmath.mpc(mpmath.mpf(str(real)), mpmath.mpf(str(imaginary))) if imaginary else mpmath.mpf(str(real))


def _sum(*terms: Any) -> Any:
    return sum(terms, mpmath.mpf(0))


def _product(*factors: Any) -> Any:
    product = mpmath.mpf(1)
    for each in factors:
        product = product * each
    return product


def _log(value: Any, base: Any = None) -> Any:
    return mpmath.log(value) if base is None else mpmath.log(value) / mpmath.log(base)


NODES: dict[type, Any] = {
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.Pow: lambda base, exponent: mpmath.power(base, exponent),
    sympy.exp: mpmath.exp,
    sympy.log: _log,
    sympy.sin: mpmath.sin,
    sympy.cos: mpmath.cos,
    sympy.tan: mpmath.tan,
    sympy.cot: mpmath.cot,
    sympy.sec: mpmath.sec,
    sympy.csc: mpmath.csc,
    sympy.asin: mpmath.asin,
    sympy.acos: mpmath.acos,
    sympy.atan: mpmath.atan,
    sympy.sinh: mpmath.sinh,
    sympy.cosh: mpmath.cosh,
    sympy.tanh: mpmath.tanh,
    sympy.Abs: abs,
    sympy.factorial: mpmath.factorial,
    sympy.binomial: mpmath.binomial,
    sympy.floor: mpmath.floor,
    sympy.ceiling: mpmath.ceil,
    type(sympy.pi): lambda: +mpmath.pi,
    type(sympy.E): lambda: +mpmath.e,
    type(sympy.I): lambda: mpmath.mpc(0, 1),
    type(sympy.GoldenRatio): lambda: +mpmath.phi,
}


def _symbols(expression: Any) -> set[Any]:
    """The unknowns: free symbols except i (the imaginary unit), and undefined functions at their arguments."""
    applied = expression.atoms(AppliedUndef)
    inside = {symbol for function in applied for symbol in function.free_symbols}
    named = {symbol for symbol in expression.free_symbols if symbol not in inside and symbol.name != "i"}
    found: set[Any] = named | applied
    return found


CONSTANT = re.compile(r"[cCkKAB](_?\{?\d+\}?)?")
"""Names of constants of integration."""


def _renamings(left: Any, right: Any) -> list[Any]:
    """`right` with its symbols replaced by those of `left`: by equal names, or as renamed constants of integration."""
    ours, theirs = {str(s): s for s in _symbols(left)}, {str(s): s for s in _symbols(right)}
    shared = {theirs[name]: ours[name] for name in ours.keys() & theirs.keys()}
    right = right.xreplace(shared)
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if (
        missing
        and len(missing) == len(extra) <= 2
        and all(CONSTANT.fullmatch(name) for name in (*missing, *extra))
        and len(ours) > len(missing)
    ):
        orders = [extra, extra[::-1]] if len(extra) == 2 else [extra]
        return [
            right.xreplace({theirs[old]: ours[new] for old, new in zip(order, missing, strict=True)})
            for order in orders
        ]
    both = [ours[name] for name in sorted(ours.keys() & theirs.keys()) if re.fullmatch(r"[cC]_?\{?\d\}?|[AB]", name)]
    if len(both) == 2 and len(ours) > 2:
        return [right, right.xreplace({both[0]: both[1], both[1]: both[0]})]
    return [right]
