"""Expressions: parsed from the one notation of `tex` by precedence. Names that mean nothing stay names of their own."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import mpmath

from icpo_cli.grading.rules import arithmetic
from icpo_cli.grading.rules.arithmetic import TooLarge, Value, inexact
from icpo_cli.grading.rules.cursor import Cursor, Unreadable

MAX_CHARS = 1000
MAX_DEPTH = 40
"""Maximum depth of nested operations."""

Point = Mapping[str, Value]
"""Values of names."""


@dataclass(frozen=True)
class Expression:
    """A value at every point, the names it needs, and what it contains."""

    value: Callable[[Point], Value]
    names: frozenset[str] = frozenset()
    """Free names. The imaginary unit is none."""
    marks: frozenset[str] = frozenset()
    """Contents: whole (defined for whole numbers), exponential, wave, degree, unknown (function), rough
    (found numerically)."""


KNOWN: dict[str, Callable[[Value], Value]] = {
    name: getattr(mpmath, name.replace("arc", "a").replace("Re", "re").replace("Im", "im"))
    for name in """arcsin arccos arctan arccot arcsinh arccosh arctanh sinh cosh tanh coth sin cos tan cot sec csc ln Re
    Im arg""".split()
} | {"log": mpmath.ln}
WAVES = frozenset("sin cos tan cot sec csc".split())
ABSTRACT = frozenset(("f", "g", "h", "F", "G", "H", "u", r"\delta", r"\Gamma", r"\zeta", r"\Phi", r"\phi", r"\psi"))
"""Names that before a bracket are functions, if they are not used within it; others are factors."""
LETTERS = frozenset(
    r"""\alpha \beta \gamma \delta \epsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \rho \sigma \tau
    \upsilon \phi \chi \psi \omega \Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Phi \Psi \Omega \Upsilon \hbar \ell
    \nabla \partial \odot \R \Z \N \Q \C \emptyset \aleph""".split()
)
DECORATIONS = frozenset(("*", "+", "-", r"\dagger", r"\ast", r"\perp", r"\parallel", r"\star", ""))
"""Superscripts that make another name."""
TIMES = frozenset(("*", r"\cdot", r"\times"))
CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\langle": r"\rangle"}
ACCENTS = frozenset((r"\bar", r"\hat", r"\vec", r"\tilde", r"\check"))
STARTS = (
    LETTERS
    | ACCENTS
    | CLOSING.keys()
    | {f"\\{name}" for name in KNOWN}
    | set(r"| \| \pi \infty \frac \binom \sqrt \sum \prod \int \lim \D \angle \triangle".split())
)
"""Tokens that begin a factor, besides letters and digits."""


def combined(operation: Callable[..., Value], parts: Iterable[Expression], *marks: str) -> Expression:
    parts = tuple(parts)
    return Expression(
        lambda point: operation(*(part.value(point) for part in parts)),
        frozenset[str]().union(*(part.names for part in parts)),
        frozenset(marks).union(*(part.marks for part in parts)),
    )


def constant(value: int | Fraction) -> Expression:
    return Expression(lambda _: Fraction(value))


def symbol(name: str) -> Expression:
    return Expression(lambda point: point[name], frozenset((name,)))


IMAGINARY = Expression(lambda point: point.get("i", mpmath.mpc(0, 1)))


@lru_cache(maxsize=8192)
def parse(text: str) -> Expression:
    """Parse a text in the one notation. Raises Unreadable or TooLarge."""
    if len(text) > MAX_CHARS:
        raise TooLarge("longer than an expression may be")
    if not text.isascii() or re.search(r"0x[0-9A-Fa-f]", text):
        raise Unreadable("another script, or a hexadecimal number")
    if len(re.findall(r"\\(?:sum|prod|int|lim)(?![a-z])", text)) > 2:
        raise TooLarge("sums of sums of sums")
    return _Parser(re.sub(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?!\d)", lambda found: found[0].replace(",", ""), text)).all()


class _Parser(Cursor):
    """A parser by precedence."""

    def __init__(self, text: str, depth: int = 0) -> None:
        super().__init__(text)
        self._depth = depth
        self._in_bars = False
        """A bar closes an absolute value."""

    def all(self) -> Expression:
        """The expression that the complete text is."""
        expression = self._sum()
        return expression if not self._next else self._fail()

    def _inner(self, text: str) -> Expression:
        """The expression in a part of the text."""
        return _Parser(text, self._depth).all()

    # By precedence

    def _sum(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooLarge("deeper than an expression may be")
        terms = [self._product()]
        while self._next in ("+", "-"):
            terms.append(self._product())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else combined(arithmetic.add, terms)

    def _product(self) -> Expression:
        left = self._signed()
        while True:
            if self._next in TIMES:
                sign = self._take()
                right = self._signed()
                if _is_vector(left) and (_is_vector(right) or r"\nabla" in left.names):
                    left = combined(lambda *values, sign=sign: arithmetic.unknown(sign, *values), (left, right))
                else:
                    left = combined(arithmetic.multiply, (left, right))
            elif self._next in ("/", r"\div"):
                self._take()
                left = combined(arithmetic.divide, (left, self._signed()))
            elif self._starts():
                left = combined(arithmetic.multiply, (left, self._power()))
            else:
                return left

    def _signed(self) -> Expression:
        signs = 0
        while self._next in ("+", "-"):
            signs += self._take() == "-"
        power = self._power()
        return combined(lambda value: -value, (power,)) if signs % 2 else power

    def _starts(self) -> bool:
        """Whether the next token begins a factor."""
        token = self._next
        if token.isdigit() and self._tokens[self._at - 1].isdigit():
            raise Unreadable("digits apart")
        return token.isalnum() or (token in STARTS and not (token == "|" and self._in_bars))

    def _power(self) -> Expression:
        base, raised = self._atom(), False
        while self._next and self._next in "^!%'":
            sign = self._take()
            if sign == "^":
                exponent = self._group_text()
                if raised:
                    raise Unreadable("two exponents")
                raised = exponent not in DECORATIONS and exponent != r"\circ"
                base = self._raised(base, exponent)
            elif sign == "!":
                double = self._next == "!" and bool(self._take())
                if self._next == "!":
                    raise Unreadable("several factorials")
                step = 2 if double else 1
                base = combined(lambda value, step=step: arithmetic.factorial(value, step), (base,), "whole")
            elif sign == "%":
                base = combined(arithmetic.divide, (base, constant(100)))
            else:
                base = combined(lambda value: arithmetic.unknown("'", value), (base,), "unknown")
        return base

    def _raised(self, base: Expression, exponent: str) -> Expression:
        if exponent == r"\circ":
            return combined(lambda value: inexact(value) * mpmath.pi / 180, (base,), "degree")
        if exponent in DECORATIONS:
            return combined(lambda value: arithmetic.unknown(f"^{exponent}", value), (base,), "unknown")
        raised = self._inner(exponent)
        marks = ("exponential",) if raised.names and not base.names else ()
        return combined(arithmetic.power, (base, raised), *marks)

    def _group(self, opening: str = "{") -> Expression:
        self._take(opening)
        inside = self._sum()
        self._take(CLOSING[opening])
        return inside

    def _atom(self) -> Expression:
        token = self._next
        name = token.removeprefix("\\")
        if token.isdigit() or token == ".":
            return self._number()
        if token in CLOSING:
            inside = self._group(token)
            if token in ("(", "[", "{"):
                return inside
            if token == r"\langle":
                return combined(lambda value: arithmetic.unknown("mean", value), (inside,), "unknown")
            rounded = mpmath.floor if token == r"\lfloor" else mpmath.ceil
            return combined(lambda value: Fraction(int(rounded(inexact(value)))), (inside,))
        if token == "|":
            self._take()
            outer, self._in_bars = self._in_bars, True
            inside, self._in_bars = self._sum(), outer
            self._take("|")
            return combined(abs, (inside,))
        self._take()
        if token == r"\frac":
            return combined(arithmetic.divide, (self._group(), self._group()))
        if token == r"\binom":
            return combined(arithmetic.binomial, (self._group(), self._group()), "whole")
        if token == r"\sqrt":
            index = self._group("[") if self._next == "[" else constant(2)
            return combined(arithmetic.root, (self._group(), index))
        if name in KNOWN and token != name:
            return self._function(name)
        if token in arithmetic.OVER:
            return self._over(token)
        if token in ACCENTS:
            return self._accented(token)
        if token == r"\D":
            variable = self._group_text()
            [derived] = self._inner(self._group_text()).names or {""}
            return symbol(f"{derived}|{variable}")
        if token in (r"\angle", r"\triangle"):
            start = self._at
            while self._next.isalpha() or self._next == "'":
                self._take()
            corners = "".join(self._tokens[start : self._at])
            return symbol(token + min(corners, corners[::-1]))
        if token == r"\pi" and self._next != "_":
            return Expression(lambda _: +mpmath.pi)
        if token == r"\infty":
            return Expression(lambda _: mpmath.inf)
        return self._name(token) if token.isalpha() or token in LETTERS else self._fail()

    def _number(self) -> Expression:
        """A decimal, a repeating decimal or a mixed number."""
        digits = self._take()
        if digits != "." and self._next == "." and self._at not in self._spaced:
            digits += self._take()
        if digits.endswith(".") and self._next.isdigit():
            digits += self._take()
        value = Fraction(digits + "0" * digits.endswith("."))
        places = len(digits.partition(".")[2])
        if "." in digits and self._next == r"\bar" and self._ahead(2).isdigit():
            self._take()
            period = self._group_text()
            return constant(value + Fraction(int(period), (10 ** len(period) - 1) * 10**places))
        following = self._text_of(self._at, self._at + 7)
        part = re.match(r"\\frac\{(\d+)\}\{(\d+)\}", following) or re.match(r"(\d+)/(\d+)", following)
        if (
            "." not in digits
            and part
            and int(part[1]) < int(part[2])
            and (part[0][0] == "\\" or self._at in self._spaced)
        ):
            self._at += 7 if part[0][0] == "\\" else 3
            return constant(value + Fraction(int(part[1]), int(part[2])))
        return constant(value)

    def _name(self, letter: str) -> Expression:
        """A symbol with its subscript and primes, or an unknown function of what follows in brackets."""
        name, primes = letter, ""
        while self._next in ("_", "'"):
            if self._take() == "_":
                name += f"_{self._group_text().replace(' ', '')}"
            else:
                primes += "'"
        if self._next.isdigit() and self._at not in self._spaced and name == letter and letter not in ("e", "i"):
            name += f"_{self._take()}"  # x1 is x_1, not x times 1
        name += primes
        if name in ("e", "i"):
            return IMAGINARY if name == "i" else Expression(lambda _: +mpmath.e)
        return self._applied(name) if self._next == "(" else symbol(name)

    def _applied(self, name: str) -> Expression:
        """f(x) and x(0) are functions, x(x+1) is a product."""
        end, depth = self._at + 1, 1
        while depth and end < len(self._tokens):
            depth += {"(": 1, ")": -1}.get(self._tokens[end], 0)
            end += 1
        inside = self._tokens[self._at + 1 : end - 1]
        single = len(inside) == 1 and (inside[0].isalnum() or inside[0] in LETTERS or inside[0] == r"\pi")
        if not single and (name.rstrip("'") not in ABSTRACT or name in inside):
            return symbol(name)
        args = []
        while self._next in ("(", ","):
            self._take()
            args.append(self._sum())
        self._take(")")
        if name == r"\Gamma":
            return combined(lambda value: arithmetic.factorial(value - 1), args, "whole")
        return combined(lambda *values: arithmetic.unknown(name, *values), args, "unknown")

    def _function(self, name: str) -> Expression:
        """A function and its argument: what is in brackets, or the factors up to the next sign or function."""
        scripts = self._scripts()
        exponent = scripts["^"]
        if exponent == "-1" and name in WAVES:
            name, exponent = f"arc{name}", ""
        known, argument = KNOWN[name], self._argument()
        marks = argument.marks - {"degree"} | {"wave"} if name in WAVES else argument.marks
        function = Expression(lambda point: known(inexact(argument.value(point))), argument.names, marks)
        if base := scripts["_"]:
            function = combined(lambda value, base: value / mpmath.ln(inexact(base)), (function, self._inner(base)))
        return combined(arithmetic.power, (function, self._inner(exponent))) if exponent else function

    def _argument(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooLarge("deeper than an expression may be")
        if self._next == "(":
            argument = self._group("(")
            if self._next == "^" and self._ahead(2) == r"\circ":
                self._take()
                argument = self._raised(argument, self._group_text())
        else:
            argument = self._signed()
            while self._next not in ("(", "|") and self._next.removeprefix("\\") not in KNOWN and self._starts():
                argument = combined(arithmetic.multiply, (argument, self._power()))
            if self._next == "/" and not argument.names and self._ahead(1).isdigit():
                self._take()  # \sin \pi/3
                argument = combined(arithmetic.divide, (argument, self._power()))
        self._depth -= 1
        return argument

    # Over a variable

    def _scripts(self) -> dict[str, str]:
        """The texts of the sub- and the superscript that follow."""
        scripts = {"_": "", "^": ""}
        while self._next and self._next in scripts:
            sign = self._take()
            scripts[sign] = self._group_text()
        return scripts

    def _over(self, token: str) -> Expression:
        """A sum, product, definite integral or limit: its ends, and a function of its variable."""
        start, scripts = self._at, self._scripts()
        marks = {"rough"} if token in (r"\int", r"\lim") or "infty" in scripts["^"] else {"whole"}
        if token == r"\int":
            end = (
                next((at for at in range(self._at, len(self._tokens) - 1) if self._tokens[at] == "d"), 0)
                or self._fail()
            )
            low, variable, body = scripts["_"], self._tokens[end + 1], self._text_of(self._at, end)
            self._at = end + 2
            if not low or not scripts["^"]:
                return symbol(token + self._text_of(start, self._at))
            inside = self._inner(body or "1")
        else:
            variable, sign, low = scripts["_"].partition("=" if token != r"\lim" else r"\to")
            if not sign or (token != r"\lim" and not scripts["^"]):
                self._fail()
            inside = self._product()
        variable = variable.strip()
        ends = [self._inner(end) for end in (low, scripts["^"]) if end]
        find = arithmetic.OVER[token]

        def value(point: Point) -> Value:
            bounds = [end.value(point) for end in ends]
            return find(*bounds, lambda at: inside.value({**point, variable: at}))

        names = frozenset[str]().union(inside.names - {variable}, *(end.names for end in ends))
        return Expression(value, names, inside.marks | marks)

    def _accented(self, accent: str) -> Expression:
        text = self._group_text()
        if accent == r"\bar" and re.search(r"[+-]|\d", text):
            return combined(lambda value: mpmath.conj(inexact(value)), (self._inner(text),))
        if not re.fullmatch(r"[A-Za-z]+|\\[A-Za-z]+", text):
            self._fail()
        return symbol(accent + text + "".join(self._scripts().values()))


def _is_vector(expression: Expression) -> bool:
    return len(expression.names) == 1 and min(expression.names).startswith((r"\nabla", r"\vec", r"\hat"))
