"""The shape of an answer: lists, relations, intervals and their unions, matrices."""

import re
from dataclasses import dataclass

from icpo_cli.grading.rules.brackets import matching, split_top

SEPARATOR = re.compile(r"\s*(?:[,;]\s*(?:and|or)(?![a-z])|[,;]|(?<![a-z])(?:and|or)(?![a-z])|\\\\)\s*")
THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])")
EQUALS = re.compile(r"(?<![<>!:\\=])=(?!=)")
RELATION = re.compile(r"\\(?:le|ge|ne|in|approx|neq|equiv|sim|notin)(?![a-z])|<=|>=|!=|<|>|(?<!\\)\bin\b")
UNION = re.compile(r"\\cup(?![a-z])|(?<![a-zA-Z\\])(?:U|or|and)(?![a-zA-Z])|,")
PLUS_MINUS = re.compile(r"\\pm(?![a-z])|\\mp(?![a-z])|\+\s*/\s*-|\+-")
PAIRS = {"(": ")", "[": "]", "{": "}"}
INFINITY = re.compile(r"[+]?\s*\\infty")
MATRIX = re.compile(
    r"\\begin\{(?:[pbvB]?matrix|smallmatrix|array)\}(?:\{[^{}]*\})?(.*?)\\end\{(?:[pbvB]?matrix|smallmatrix|array)\}"
)


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
    text = re.sub(r"(?<=[\])>])\s*\^\s*\{?(?:T|\\top|\\intercal)\}?$", "", text)
    if components := _components(text):
        return Items(components, "()")
    if re.match(r"\(a\)", text) and "(b)" in text:
        text = re.sub(r"^\(a\)\s*", "", re.sub(r"[,;]?\s*\([b-h]\)\s*", ", ", text))
    if "=" in text:
        text = re.sub(r"\\(?:lor|vee)(?![a-z])", " or ", text)
    bare, brackets = _unbracketed(text)
    if brackets == "[]" and re.fullmatch(r"[-+\d./]+(?: +[-+\d./]+)+", bare):
        bare = ", ".join(bare.split())
    guarded = THOUSANDS.sub(lambda m: m[0].replace(",", ""), bare) if brackets == "  " else bare
    parts = [part for part in split_top(guarded, SEPARATOR) if part]
    if len(parts) < 2 and not (brackets in ("{}", "[]") and parts):
        return None
    return Items(tuple(parts), brackets)


TERM = re.compile(
    r"\s*([+-]?)\s*([^ijk+-]*?)\s*(?:\\(?:hat|vec|mathbf)\s*)?\{?\s*\\?([ijk])(?:math)?\s*\}?(?=\s*(?:[+-]|$))"
)


def _components(text: str) -> tuple[str, ...] | None:
    """Components of a vector written with the unit vectors i, j and k; None for anything else."""
    found = list(TERM.finditer(text))
    names = [term[3] for term in found]
    if "".join(term[0] for term in found) != text or len(set(names)) != len(names) or not set(names) & {"j", "k"}:
        return None
    values = {term[3]: f"{term[1].strip('+')}{term[2] or '1'}" for term in found}
    return tuple(values.get(name, "0") for name in ("ijk" if "k" in names else "ij"))


def _unbracketed(text: str) -> tuple[str, str]:
    """(content, brackets) of a text in brackets; half-open intervals keep theirs."""
    text = text.strip()
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return text[2:-2].strip(), "{}"
    if text.startswith(r"\langle") and text.endswith(r"\rangle"):
        return text[7:-7].strip(), "<>"
    if text.startswith("<") and text.endswith(">") and "," in text:
        return text[1:-1].strip(), "<>"
    if text and text[0] in PAIRS and matching(text, 0, text[0] + PAIRS[text[0]]) == len(text) - 1:
        return text[1:-1].strip(), text[0] + text[-1]
    return text, "  "


def sides_of(text: str) -> list[str]:
    """The sides of an equation, split outside all brackets."""
    return split_top(text, EQUALS)


def plus_minus(text: str) -> tuple[str, str] | None:
    r"""Both values of a \pm b; None if there is no such sign."""
    if not PLUS_MINUS.search(text):
        return None
    return _signed(text, "+", "-"), _signed(text, "-", "+")


def _signed(text: str, upper: str, lower: str) -> str:
    r"""Replace \pm by `upper` and \mp by `lower`; a leading plus is removed."""
    text = PLUS_MINUS.sub(lambda sign: lower if sign[0].startswith(r"\mp") else upper, text)
    return re.sub(r"(^|[=(,{])\s*\+", r"\1", text).strip()


def matrix_of(text: str) -> Matrix | None:
    """Parse a matrix environment, [[...], [...]] or Matrix([...]) into rows; None for anything else."""
    text = re.sub(r"\^\s*\{?\s*(?:\\top|\\mathsf\{T\}|T)\s*\}?$", "^T", text.strip())
    transposed = text.endswith("^T")
    text = text.removesuffix("^T").strip()
    if text and text[0] in "([" and MATRIX.fullmatch(text[1:-1].strip()):
        text = text[1:-1].strip()
    if scaled := re.fullmatch(r"([^,;=]+?)\s*(\\begin\{.*)", text):
        inner = matrix_of(scaled[2])
        return inner and tuple(tuple(_times(scaled[1], entry) for entry in row) for row in inner)
    if re.fullmatch(r"\(\s*\(.*\)\s*\)", text):
        text = text.translate(str.maketrans("()", "[]"))
    if found := MATRIX.fullmatch(text):
        rows = tuple(
            tuple(cell.strip() for cell in row.split("&"))
            for row in re.split(r"\\\\(?:\[[^\[\]]*\])?|\\cr(?![a-z])", found[1].replace(r"\hline", ""))
            if row.strip()
        )
    elif spaced := re.fullmatch(r"\[\s*([-+\d./, ]+(?:;[-+\d./, ]+)+)\]", text):
        rows = tuple(tuple(re.split(r"[, ]+", row.strip())) for row in spaced[1].split(";"))
    elif nested := re.fullmatch(r"(?:Matrix|matrix|array)?\(?\s*(\[\s*\[.*\]\s*\])\s*\)?", text):
        outer = items_of(nested[1])
        lines = [items_of(row) for row in outer.items] if outer else []
        if not lines or any(line is None for line in lines):
            return None
        rows = tuple(line.items for line in lines if line is not None)
    else:
        return None
    if len({len(row) for row in rows}) != 1:
        return None
    return tuple(zip(*rows, strict=True)) if transposed else rows


def _times(factor: str, entry: str) -> str:
    return f"-({entry})" if factor == "-" else rf"{factor} \cdot ({entry})"


def spans_of(text: str) -> list[Span] | None:
    """Parse a union of intervals, an inequality, or words for one; None for anything else."""
    text = re.sub(r"^[A-Za-z]\s*(?:\\in(?![a-z])|∈|\bin\b)\s*", "", text.strip())
    if text.startswith(r"\{") and text.endswith(r"\}"):
        inner = re.split(r"\||:|\bsuch that\b", text[2:-2], maxsplit=1)
        text = inner[1].strip() if len(inner) == 2 else text
    text = _worded(text)
    if spans := _all_but(text):
        return spans
    if _is_interval(text):
        return [_interval(text)]
    found: list[Span] = []
    for part in split_top(text, UNION):
        part = re.sub(r"^[A-Za-z]\s*\\in(?![a-z])\s*", "", part)
        if _is_interval(part):
            found.append(_interval(part))
        elif relation := _inequality(part):
            found += relation
        else:
            return None
    if " and " in text or r"\land" in text or "\\cap" in text or (len(found) == 2 and _is_and(text)):
        return _both(found)
    return found or None


def _is_and(text: str) -> bool:
    return re.search(r"(?<![a-zA-Z])and(?![a-zA-Z])", text) is not None


def _both(spans: list[Span]) -> list[Span] | None:
    """The intersection of two half-lines, such as x > 2 and x < 5; None for anything else."""
    if len(spans) != 2:
        return None
    lower = [span for span in spans if not INFINITY.fullmatch(span.low.replace("-", "", 1)) or "-" not in span.low]
    upper = [span for span in spans if not INFINITY.fullmatch(span.high)]
    if len(lower) == len(upper) == 1 and lower[0] is not upper[0]:
        return [Span(lower[0].low, upper[0].high, lower[0].low_closed, upper[0].high_closed)]
    return None


def _is_interval(text: str) -> bool:
    text = text.strip()
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]":
        return False
    inner = text[1:-1]
    return len(split_top(inner, re.compile(","))) == 2 and _closed(inner)


def _closed(text: str) -> bool:
    depth = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _interval(text: str) -> Span:
    text = text.strip()
    low, high = split_top(text[1:-1], re.compile(","))
    return Span(low, high, text[0] == "[", text[-1] == "]")


def _inequality(text: str) -> list[Span] | None:
    """Parse a < x <= b, x >= a, a < x or x != a; None for anything else."""
    parts = split_top(text, RELATION)
    signs = [_sign(match[0]) for match in RELATION.finditer(text)]
    if len(parts) != len(signs) + 1 or not all(parts):
        return None
    if len(signs) == 2 and signs[0][0] == signs[1][0] != "!":
        if not _is_name(parts[1]):
            return None
        low, high = (0, 2) if signs[0][0] == "<" else (2, 0)
        closed = (signs[0] == signs[0][0] + "=", signs[1] == signs[1][0] + "=")
        return [Span(parts[low], parts[high], closed[low // 2], closed[high // 2])]
    if len(signs) != 1 or _is_name(parts[0]) == _is_name(parts[1]):
        return None
    sign, end = signs[0], parts[1]
    if _is_name(parts[1]):
        end, sign = parts[0], sign.translate(str.maketrans("<>", "><"))
    if sign == "!":
        return [Span(r"-\infty", end, False, False), Span(end, r"\infty", False, False)]
    if sign.startswith("<"):
        return [Span(r"-\infty", end, False, sign == "<=")]
    return [Span(end, r"\infty", sign == ">=", False)] if sign.startswith(">") else None


def _sign(text: str) -> str:
    return {r"\le": "<=", r"\ge": ">=", r"\ne": "!", r"\neq": "!", "!=": "!"}.get(text, text)


def _is_name(text: str) -> bool:
    """Whether the text is a variable, not an end of an interval."""
    return re.fullmatch(r"\|?(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?(?:\([a-z]\))?\|?", text) is not None and text not in (
        "e",
        r"\pi",
        r"\infty",
    )


def _all_but(text: str) -> list[Span] | None:
    r"""Parse \mathbb{R} \setminus \{a\}, or R without an interval; None for anything else."""
    found = re.fullmatch(r"(?:\\?R|all real numbers)\s*(?:\\setminus|\\backslash|\\|-|except)\s*(.+)", text)
    if text in (r"\R", "R", "all real numbers", "all reals"):
        return [Span(r"-\infty", r"\infty", False, False)]
    if not found:
        return None
    removed = re.sub(r"^(?:for\s+)?[a-z]\s*=\s*", "", found[1].strip())
    if _is_interval(removed):
        gap = _interval(removed)
        return [
            Span(r"-\infty", gap.low, False, not gap.low_closed),
            Span(gap.high, r"\infty", not gap.high_closed, False),
        ]
    points = items_of(removed)
    ends = points.items if points else (removed.removeprefix(r"\{").removesuffix(r"\}"),)
    if len(ends) != 1:
        return None
    return [Span(r"-\infty", ends[0], False, False), Span(ends[0], r"\infty", False, False)]


NUMBERS_THAT = re.compile(
    r"^(?:the set of )?(?:all )?(?:real )?(?:numbers|values|reals)?\s*(?:of )?(?:[a-z] )?"
    r"(?:that are |such that |with |where |is |for which )*"
)
WORDS = (
    (r"greater than or equal to|at least|no less than|not less than", r">="),
    (r"less than or equal to|at most|no more than|no greater than|not more than", r"<="),
    (r"greater than|more than|larger than|bigger than", ">"),
    (r"less than|smaller than|fewer than", "<"),
    (r"not equal to", "!="),
)


def _worded(text: str) -> str:
    """Replace words by signs: all real numbers greater than 3 -> x > 3; x is between a and b -> a < x < b."""
    if not re.search(r"[a-z]{4}", text):
        return text
    named = NUMBERS_THAT.sub("", text)
    for words, sign in WORDS:
        named = re.sub(words, sign, named)
    if re.match(r"\s*(?:[<>]=?|!=)", named):
        named = f"x {named.strip()}"
    between = re.fullmatch(r"(?:[a-z] )?(?:strictly )?between (.+) and (.+?)(,? inclusive)?", named)
    if between:
        sign = "<=" if between[3] else "<"
        return f"{between[1]} {sign} x {sign} {between[2]}"
    return named if RELATION.search(named) else text
