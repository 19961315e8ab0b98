"""The shape of an answer: lists, relations, intervals and their unions, matrices."""

import re
from dataclasses import dataclass
from itertools import pairwise

from icpo_cli.grading.rules.arithmetic import Value
from icpo_cli.grading.rules.brackets import HIDDEN, masked, matching, split
from icpo_cli.grading.rules.values import value_of

SEPARATOR = re.compile(r" *(?:[,;] *(?:and|or)(?![a-z])|[,;]|(?<![a-z])(?:and|or)(?![a-z])|\\\\|&) *")
COMMA = re.compile("[,;]")
THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])")
EQUALS = re.compile(r"(?<![<>!:\\])=")
RELATION = re.compile(r"\\(?:le|ge|ne|in|equiv|sim|notin)(?![a-z])|<|>|(?<!\\)\bin\b")
UNION = re.compile(
    r"\\cup(?![a-z])|\\lor(?![a-z])|(?<![a-zA-Z\\])(?:U|or|and)(?![a-zA-Z])|[,;]|\\c[au]p(?![a-z])|\\land(?![a-z])"
)
BOTH = re.compile(r"\\cap(?![a-z])|\\land(?![a-z])|\band\b")
PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-z])|\+ ?/ ?-|\+-")
MATRIX = re.compile(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}")


@dataclass(frozen=True)
class Items:
    """Several values, and the brackets around them (two spaces: none)."""

    items: tuple[str, ...]
    brackets: str = "  "

    @property
    def ordered(self) -> bool:
        return self.brackets[0] in "([<"


@dataclass(frozen=True)
class Span:
    """An interval of real numbers; its ends are canonical texts."""

    low: str
    high: str
    low_closed: bool
    high_closed: bool


Matrix = tuple[tuple[str, ...], ...]


def items_of(text: str) -> Items | None:
    """Parse a list, tuple or set: two values or more, or one in braces or square brackets; None for a single value."""
    text = re.sub(r"(?<=[\])>]) ?\^\{T\}$", "", text)
    if components := _components(text):
        return Items(components, "()")
    if re.match(r"\(a\)", text) and "(b)" in text:
        text = re.sub(r"^\(a\) *", "", re.sub(r"[,;]? *\([b-h]\) *", ", ", text))
    if "=" in text:
        text = re.sub(r"\\lor(?![a-z])", " or ", text)
    bare, brackets = unbracketed(text)
    if brackets == "[]" and re.fullmatch(r"[-+\d./]+(?: +[-+\d./]+)+", bare):
        bare = ", ".join(bare.split())
    guarded = THOUSANDS.sub(lambda m: m[0].replace(",", ""), bare) if brackets == "  " else bare
    separator = re.compile(";") if brackets == "  " and ";" in masked(guarded) and "," in masked(guarded) else SEPARATOR
    parts = [part for part in split(guarded, separator) if part]
    if len(parts) < 2 and not (brackets in ("{}", "[]") and parts):
        return None
    return Items(tuple(parts), brackets)


TERM = re.compile(r" *([+-]?) *([^ijk+-]*?) *(?:\\(?:hat|vec)\{)?\\?([ijk])(?:math)?\}?(?= *(?:[+-]|$))")


def _components(text: str) -> tuple[str, ...] | None:
    """Components of a vector written with the unit vectors i, j and k; None for anything else."""
    found = list(TERM.finditer(text))
    names = [term[3] for term in found]
    if "".join(term[0] for term in found) != text or len(set(names)) != len(names) or not set(names) & {"j", "k"}:
        return None
    values = {term[3]: f"{term[1].strip('+')}{term[2] or '1'}" for term in found}
    return tuple(values.get(name, "0") for name in ("ijk" if "k" in names else "ij"))


def unbracketed(text: str) -> tuple[str, str]:
    """(content, brackets) of a text in brackets; half-open intervals keep theirs."""
    text = text.strip()
    for opening, closing, brackets in ((r"\{", r"\}", "{}"), (r"\langle", r"\rangle", "<>"), ("<", ">", "<>")):
        if text.startswith(opening) and text.endswith(closing) and (opening != "<" or "," in text):
            return text[len(opening) : -len(closing)].strip(), brackets
    if text and text[0] in "([{" and matching(text, 0) == len(text) - 1:
        return text[1:-1].strip(), text[0] + text[-1]
    return text, "  "


def sides_of(text: str) -> list[str]:
    """The sides of an equation, split outside all brackets."""
    return split(text, EQUALS)


def plus_minus(text: str) -> tuple[str, str] | None:
    r"""Both values of a \pm b; None if there is no such sign."""
    if not PLUS_MINUS.search(text):
        return None
    return _signed(text, "+", "-"), _signed(text, "-", "+")


def _signed(text: str, upper: str, lower: str) -> str:
    r"""Replace \pm by `upper` and \mp by `lower`; a leading plus is removed."""
    text = PLUS_MINUS.sub(lambda sign: lower if sign[0].startswith(r"\mp") else upper, text)
    return re.sub(r"(^|[=(,{]) *\+", r"\1", text).strip()


def matrix_of(text: str) -> Matrix | None:
    """Parse a matrix environment, [[...], [...]] or Matrix([...]) into rows; None for anything else."""
    text = text.strip()
    if text.endswith("^{T}"):
        inner = matrix_of(text.removesuffix("^{T}"))
        return inner and tuple(zip(*inner, strict=True))
    if text and text[0] in "([" and MATRIX.fullmatch(text[1:-1].strip()):
        text = text[1:-1].strip()
    if scaled := re.fullmatch(r"([^,;=|]+?) *(\\begin\{.*)", text):
        inner = matrix_of(scaled[2])
        return inner and tuple(tuple(_times(scaled[1], entry) for entry in row) for row in inner)
    if re.fullmatch(r"\( *\(.*\) *\)", text):
        text = text.translate(str.maketrans("()", "[]"))
    if found := MATRIX.fullmatch(text):
        rows = tuple(
            tuple(cell.strip() for cell in row.split("&"))
            for row in re.split(r"\\\\|\\cr(?![a-z])", found[1])
            if row.strip()
        )
    elif spaced := re.fullmatch(r"\[ *([-+\d./, ]+(?:;[-+\d./, ]+)+)\]", text):
        rows = tuple(tuple(re.split("[, ]+", row.strip())) for row in spaced[1].split(";"))
    elif nested := re.fullmatch(r"(?:[Mm]atrix|array)?\(?(\[ *\[.*\] *\]) *\)?", text):
        outer = items_of(nested[1])
        lines = [items_of(row) for row in outer.items] if outer else []
        rows = tuple(line.items for line in lines if line is not None)
        if len(rows) != len(lines):
            return None
    else:
        return None
    return rows if len({len(row) for row in rows}) == 1 else None


def _times(factor: str, entry: str) -> str:
    return f"-({entry})" if factor == "-" else rf"{factor} \cdot ({entry})"


# Intervals


def spans_of(text: str) -> list[Span] | None:
    """Parse a union of intervals, an inequality, or words for one; None for anything else."""
    text = _inwards(text.strip())
    if builder := re.fullmatch(r"\\\{ ?[a-z](?: ?\\in ?\\R)? ?[|:] ?(.*)\\\}", text):
        text = builder[1]
    text = _worded(re.sub(r"^[A-Za-z] ?(?:\\in(?![a-z])|\bin\b) ?", "", text))
    if (all_but := _all_but(text)) is not None:
        return all_but
    if _is_interval(text):
        return [_interval(text)]
    parts = [re.sub(r"^[A-Za-z] ?\\in(?![a-z]) ?", "", part) for part in split(text, UNION)]
    holes = [found[1] for part in parts if (found := re.fullmatch(r"[A-Za-z] ?\\ne(?![a-z]) ?(.+)", part))]
    if holes and text.count(r"\ne") == 1 and len(parts) > 1:
        holes += parts[1:]
    if len(holes) == len(parts):
        return _without([value for hole in holes for value in (plus_minus(hole) or (hole,))])
    spans = [[_interval(part)] if _is_interval(part) else _inequality(part) for part in parts]
    if None in spans:
        return None
    union = [span for part in spans for span in part or ()]
    return _both(union) if BOTH.search(text) else union


def _inwards(text: str) -> str:
    """Round brackets for the outward square brackets of ISO 80000-2, ]2, 5[."""
    if not text.startswith("]") and not text.endswith("["):
        return text
    opens = False

    def turned(found: re.Match[str]) -> str:
        nonlocal opens
        opens = not opens
        return {"]": "(" if opens else "]", "[": "[" if opens else ")"}.get(found[0], found[0])

    return re.sub(r"[\[\]()]", turned, text)


def _both(spans: list[Span]) -> list[Span] | None:
    """The intersection of two half-lines, such as x > 2 and x < 5; None for anything else."""
    lower = [span for span in spans if span.low != r"-\infty"]
    upper = [span for span in spans if span.high != r"\infty"]
    if len(spans) == 2 and len(lower) == len(upper) == 1 and lower[0] is not upper[0]:
        return [Span(lower[0].low, upper[0].high, lower[0].low_closed, upper[0].high_closed)]
    return None


def _is_interval(text: str) -> bool:
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]":
        return False
    return not masked(text).strip(HIDDEN) and len(split(text[1:-1], COMMA)) == 2


def _interval(text: str) -> Span:
    low, high = split(text[1:-1], COMMA)
    return Span(low, high.lstrip("+ "), text[0] == "[", text[-1] == "]")


def _inequality(text: str) -> list[Span] | None:
    """Parse a < x <= b, x >= a or a < x; None for anything else."""
    parts = split(text, RELATION)
    signs = [found[0].replace(r"\le", "<=").replace(r"\ge", ">=") for found in RELATION.finditer(masked(text))]
    if not all(parts) or not all(sign[0] in "<>" for sign in signs):
        return None
    closed = [sign.endswith("=") for sign in signs]
    if len(signs) == 2 and signs[0][0] == signs[1][0] and _is_name(parts[1]):
        low, high = (0, 2) if signs[0][0] == "<" else (2, 0)
        return [Span(parts[low], parts[high], closed[low // 2], closed[high // 2])]
    if len(signs) == 1 and re.fullmatch(r"\|[a-z]\|", parts[0]):
        if signs[0][0] == "<":
            return [Span(f"-({parts[1]})", parts[1], closed[0], closed[0])]
        return [Span(r"-\infty", f"-({parts[1]})", False, closed[0]), Span(parts[1], r"\infty", closed[0], False)]
    if len(signs) != 1 or _is_name(parts[0]) == _is_name(parts[1]):
        return None
    sign, end = signs[0], parts[1]
    if _is_name(parts[1]):
        end, sign = parts[0], sign.translate(str.maketrans("<>", "><"))
    if sign.startswith("<"):
        return [Span(r"-\infty", end, False, sign == "<=")]
    return [Span(end, r"\infty", sign == ">=", False)]


def _is_name(text: str) -> bool:
    """Whether the text is a variable, not an end of an interval."""
    name = re.fullmatch(r"(?:[A-Za-z]|\\[a-z]+)(?:_\{\w+\})?(?:\([a-z]\))?", text)
    return name is not None and text not in ("e", r"\pi", r"\infty")


def _all_but(text: str) -> list[Span] | None:
    r"""Parse \R \setminus \{a, b\}, or R without an interval; None for anything else."""
    if text in (r"\R", "R", "all real numbers", "all reals"):
        return [Span(r"-\infty", r"\infty", False, False)]
    found = re.fullmatch(r"(?:\\?R|all real numbers)\s*(?:\\setminus|-|except) *(.+)", text)
    if not found:
        return None
    removed = re.sub(r"^(?:for )?[a-z] ?= ?", "", found[1].strip())
    if _is_interval(removed):
        gap = _interval(removed)
        return [
            Span(r"-\infty", gap.low, False, not gap.low_closed),
            Span(gap.high, r"\infty", not gap.high_closed, False),
        ]
    points = items_of(removed)
    return _without(
        [value for item in (points.items if points else (removed,)) for value in plus_minus(item) or (item,)]
    )


def _without(points: list[str]) -> list[Span] | None:
    """The real numbers without some points."""
    if len(points) > 1:
        values: list[Value] = [value_of(point) for point in points]
        if any(value is None or value.imag for value in values):
            return None
        points = [point for _, point in sorted(zip(values, points, strict=True))]
    ends = [r"-\infty", *points, r"\infty"]
    return [Span(low, high, False, False) for low, high in pairwise(ends)]


NUMBERS_THAT = re.compile(
    r"^(?:the set of )?(?:all )?(?:real )?(?:numbers|values|reals)?\s*(?:of )?(?:[a-z] )?"
    r"(?:that are |such that |with |where |is |for which )*"
)
WORDS = (
    (r"greater than or equal to|at least|no less than|not less than", r"\\ge"),
    (r"less than or equal to|at most|no more than|no greater than|not more than", r"\\le"),
    (r"greater than|more than|larger than|bigger than", ">"),
    (r"less than|smaller than|fewer than", "<"),
    (r"not equal to", r"\\ne"),
)


def _worded(text: str) -> str:
    """Replace words by signs: all real numbers greater than 3 -> x > 3; x is between a and b -> a < x < b."""
    if not re.search(r"(?<!\\)\b[a-z]{4}", text):
        return text
    named = NUMBERS_THAT.sub("", text)
    for words, sign in WORDS:
        named = re.sub(words, sign, named)
    if re.match(r" *(?:[<>]|\\(?:le|ge|ne)(?![a-z]))", named):
        named = f"x {named.strip()}"
    between = re.fullmatch(r"(?:[a-z] )?(?:strictly )?between (.+) and (.+?)(,? inclusive)?", named)
    if between:
        sign = r"\le" if between[3] else "<"
        return f"{between[1]} {sign} x {sign} {between[2]}"
    return named if RELATION.search(named) else text
