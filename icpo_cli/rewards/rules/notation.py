"""One notation for one thing: Unicode, Markdown, LaTeX's many spellings and plain text to one LaTeX."""

import re
import unicodedata
from collections.abc import Iterator

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵀ", "0123456789+-()niT")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓ", "0123456789+-()nix")
SYMBOLS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "×": r"\times ",
    "✕": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "∗": "*",
    "÷": "/",
    "⁄": "/",
    "∕": "/",
    "±": r"\pm ",
    "∓": r"\mp ",
    "≤": r"\le ",
    "⩽": r"\le ",
    "≥": r"\ge ",
    "⩾": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≃": r"\approx ",
    "∞": r"\infty ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "∖": r"\setminus ",
    "°": r"^{\circ}",
    "′": "'",
    "″": "''",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "…": r"\ldots ",
    "∣": "|",
    "ℝ": r"\R ",
    "ℤ": r"\Z ",
    "ℕ": r"\N ",
    "ℚ": r"\Q ",
    "ℂ": r"\C ",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "，": ",",
    "；": ";",
    "：": ":",
    "∶": ":",
    "（": "(",
    "）": ")",
    "％": "%",
    "ℏ": r"\hbar ",
    "ħ": r"\hbar ",
    "∫": r"\int ",
    "∑": r"\sum ",
    "∂": r"\partial ",
    "∇": r"\nabla ",
    "→": r"\to ",
    "⇒": r"\Rightarrow ",
    "∘": r"\circ ",
    "∠": "",
    "℃": r"^{\circ}C",
    "℉": r"^{\circ}F",
    "î": r"\hat{i}",
    "ĵ": r"\hat{j}",
    "k̂": r"\hat{k}",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "＝": "=",
}
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩµϕϵ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
            "mu",
            "phi",
            "epsilon",
        ],
        strict=True,
    )
)
FRACTIONS = {
    "½": "1/2",
    "⅓": "1/3",
    "⅔": "2/3",
    "¼": "1/4",
    "¾": "3/4",
    "⅕": "1/5",
    "⅖": "2/5",
    "⅗": "3/5",
    "⅘": "4/5",
    "⅙": "1/6",
    "⅚": "5/6",
    "⅐": "1/7",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
    "⅑": "1/9",
    "⅒": "1/10",
}
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000\t\r\n]+")

WRAPPERS = re.compile(r"\\(?:boxed|fbox|mathbf|boldsymbol|bm|displaystyle|textstyle|mathit|mathsf|mathtt|ensuremath)\b")
TEXT = re.compile(r"\\(?:text|mathrm|textrm|textbf|textit|textsf|texttt|mbox|hbox|rm|operatorname\*?|emph)\s*\{")
FUNCTIONS = (
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "ln",
    "log",
)
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "sigma", "omega", "phi", "rho", "tau", "mu")


SPOKEN = tuple(
    (re.compile(words), sign)
    for words, sign in (
        (r"\bplus or minus\b|\bplus/minus\b", r" \\pm "),
        (r"\bdivided by\b", "/"),
        (r"\bper cent\b", "percent"),
        (r"\\log\s*_\s*\{?e\}?(?![A-Za-z])", r"\\ln "),
        (r"(\d+) choose (\d+)|(?<![A-Za-z\\])C\(\s*(\d+)\s*,\s*(\d+)\s*\)", r"\\binom{\1\3}{\2\4}"),
        (r"(?<=\S )equals(?= \S)", "="),
        (r"\\?log\s*,? base (\d+) of (\w+)", r"\\log_{\1} \2"),
        (r"\bsquare root of (\w+)", r"\\sqrt{\1}"),
        (r"(?<=\d)\s+and\s+(?=\d+\s*/\s*\d)", " "),
        (r"(?<=\d) over (?=\d)", "/"),
    )
)


def canonical(text: str) -> str:
    """The text in one LaTeX spelling, outer delimiters and closing punctuation gone. Linear in its length."""
    text = _delatex(_unicode(text))
    text = re.sub(r"(?<![A-Za-z\\])(?:np|numpy|math|sp|sympy)\.", "", text)
    text = _plain_functions(text)
    text = re.sub(r"(^|[\s=,(]|\\in\s*|\\setminus\s*)\{([^{}]*[,|:<>=][^{}]*)\}", r"\1\\{\2\\}", text)
    for words, sign in SPOKEN:
        text = words.sub(sign, text)
    return _trim(re.sub(r"\s+", " ", text).strip())


def matching(text: str, start: int, pair: str = "{}") -> int:
    """The index of the bracket that closes the one at `start`; -1 where none does."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "\\":
            continue
        if text[index] == pair[0] and not _escaped(text, index):
            depth += 1
        elif text[index] == pair[1] and not _escaped(text, index):
            depth -= 1
            if depth == 0:
                return index
    return -1


def balanced(text: str) -> bool:
    """Every brace is closed, none closes what was not opened."""
    depth = 0
    for index, char in enumerate(text):
        if char in "{}" and not _escaped(text, index):
            depth += 1 if char == "{" else -1
            if depth < 0:
                return False
    return depth == 0


def depth_of(text: str) -> int:
    """How deep brackets of any kind are nested."""
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def split_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The parts between matches of `pattern` that stand outside every bracket and LaTeX group."""
    parts, start = [], 0
    for match in top_level(text, pattern):
        parts.append(text[start : match.start()])
        start = match.end()
    return [part.strip() for part in [*parts, text[start:]]]


def top_level(text: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Matches of `pattern` outside every bracket."""
    levels, depth = [], 0
    for index, char in enumerate(text):
        escaped = _escaped(text, index)
        if char in "([{" and not (escaped and char != "{"):
            depth += 1
        levels.append(depth)
        if char in ")]}" and not (escaped and char != "}"):
            depth = max(0, depth - 1)
    for match in pattern.finditer(text):
        if match.start() < match.end() and levels[match.start()] == 0:
            yield match


def _escaped(text: str, index: int) -> bool:
    """Preceded by an odd number of backslashes."""
    count = 0
    while index > count and text[index - count - 1] == "\\":
        count += 1
    return count % 2 == 1


def _unicode(text: str) -> str:
    text = SPACES.sub(" ", text.translate(INVISIBLE))
    text = re.sub("[\U0001d400-\U0001d7ff]", lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵀ]+", lambda m: f"^{{{m[0].translate(SUPERSCRIPTS)}}}", text)
    text = re.sub(r"[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓ]+", lambda m: f"_{{{m[0].translate(SUBSCRIPTS)}}}", text)
    for char, fraction in FRACTIONS.items():
        if char in text:
            top, bottom = fraction.split("/")
            text = text.replace(char, rf"\frac{{{top}}}{{{bottom}}}")
    text = re.sub(r"[√∛∜]\s*(\([^()]*\)|\d+(?:\.\d+)?|[A-Za-zπ])?", _root, text)
    text = "".join(f"\\{GREEK[char]} " if char in GREEK else SYMBOLS.get(char, char) for char in text)
    return text.replace("k\u0302", r"\hat{k}")


def _root(match: re.Match[str]) -> str:
    index = {"√": "", "∛": "[3]", "∜": "[4]"}[match[0][0]]
    inner = match[1] or ""
    if inner.startswith("("):
        inner = inner[1:-1]
    return rf"\sqrt{index}{{{inner}}}" if inner else rf"\sqrt{index}"


def _delatex(text: str) -> str:
    if text.count("$") == 1:
        text = re.sub(r"^(\s*-?\s*)(?:US)?\$(?=\s*[\d.])", r"\1\\$", text)
    text = re.sub(r"\.{3,}|\\[cl]?dots(?![a-z])", r"\\ldots ", text)
    text = re.sub(r"\\begin\{cases\}(.*?)\\end\{cases\}", lambda m: m[1].replace(r"\\", ", "), text)
    text = re.sub(r"\\(?:approx|simeq|thickapprox|doteq)(?![a-z])(?:eq)?", " = ", text)
    text = re.sub(r"\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|biggl|biggr)(?![a-z])\s*\.?", "", text)
    text = re.sub(r",\s*\\!\s*", ",", text).replace("{,}", ",").replace(r"\!", "")
    text = re.sub(r"\\\$", r"\\dollar ", text)
    text = re.sub(r"\\(?:\(|\)|\[|\])|\$\$?", " ", text)
    text = re.sub(r"\\dollar ", r"\\$", text)
    text = re.sub(r"(?<=\d)(?:\\[,;:]|~)(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\\R\s*\\\s+(?=\\?[{(\[])", r"\\R \\setminus ", text)
    text = re.sub(r"(?<!\\)\\(?:quad|qquad|hspace\{[^{}]*\}|[,;: ])|(?<!\\)~", " ", text)
    text = re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", text)
    text = re.sub(r"\\[dt]binom(?![a-z])", r"\\binom", text)
    text = re.sub(r"\\(leq|geq|neq|leqslant|geqslant|lt|gt)(?![a-z])", lambda m: RELATIONS[m[1]], text)
    text = re.sub(r"\\(?:lbrace|rbrace)", lambda m: r"\{" if m[0] == r"\lbrace" else r"\}", text)
    text = re.sub(r"\\(?:lvert|rvert|vert|mid)(?![a-z])", "|", text)
    text = re.sub(r"\\varnothing", r"\\emptyset", text)
    text = re.sub(r"\\var(epsilon|phi|theta|rho)", r"\\\1", text)
    text = re.sub(r"\\mathrm\s*\{?\s*([edi])\s*\}?(?![A-Za-z])(?=[\s^}x]|$)", r"\1", text)
    text = re.sub(r"\^\s*\\circ|\^\s*\{\s*\\circ\s*\}|\\degree(?![a-z])", r"^{\\circ}", text)
    text = re.sub(
        r"\\(?:frac|binom)\s*(\d)\s*(\d)(?!\d)", lambda m: rf"{m[0][: m[0].index(m[1])]}{{{m[1]}}}{{{m[2]}}}", text
    )
    text = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\frac\s*(\{[^{}]*\})\s*(\d|[A-Za-z])", r"\\frac\1{\2}", text)
    text = re.sub(r"\\frac\s+", r"\\frac", text)
    text = re.sub(r"\\frac(\{[^{}]*\})\s+\{", r"\\frac\1{", text)
    text = re.sub(r"\\sqrt\s*(\d+)(?!\d*\])", r"\\sqrt{\1}", text)
    text = re.sub(r"\\sqrt\s*([A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\\sqrt\s+(?=[{\[\\])", r"\\sqrt", text)
    text = re.sub(r"\\sqrt(\\[a-z]+)", r"\\sqrt{\1}", text)
    text = re.sub(r"\{([^{}]*?)\\over(?![a-z])([^{}]*)\}", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\{([^{}]*?)\\choose(?![a-z])([^{}]*)\}", r"\\binom{\1}{\2}", text)
    text = re.sub(
        r"\\frac\{\s*d\s*([A-Za-z])\s*\}\{\s*d\s*[a-z]\s*\}|\\dot\{?\s*([A-Za-z])\s*\}?",
        lambda m: f"{m[1] or m[2]}'",
        text,
    )
    text = re.sub(
        r"\\frac\{\s*d\^\{?2\}?\s*([A-Za-z])\s*\}\{\s*d\s*[a-z]\^\{?2\}?\s*\}|\\ddot\{?\s*([A-Za-z])\s*\}?",
        lambda m: f"{m[1] or m[2]}''",
        text,
    )
    text = re.sub(r"\^\s*\{?((?:\\prime\s*)+)\}?", lambda m: "'" * m[1].count("prime"), text)
    text = re.sub(r"(?<![A-Za-z])d([a-z])\s*/\s*d[a-z](?![A-Za-z])", r"\1'", text)
    text = re.sub(r"(?<=\d)\.(?=\s*(?:[/*+)-]|$))", "", text)
    if not re.search(r"i(?![a-z])", text):
        text = re.sub(r"(?<=\d)\s*j(?![A-Za-z])|(?<![A-Za-z\\])j(?=\d)", "i", text)
    text = re.sub(r"\\mathbb\s*\{?\s*([RZNQC])\s*\}?", r"\\\1 ", text)
    return _unwrap(WRAPPERS.sub("", text).replace("**", "") if text.count("**") > 1 else WRAPPERS.sub("", text))


RELATIONS = {
    "leq": r"\le ",
    "leqslant": r"\le ",
    "geq": r"\ge ",
    "geqslant": r"\ge ",
    "neq": r"\ne ",
    "lt": "<",
    "gt": ">",
}


def _unwrap(text: str) -> str:
    r"""\text{...} and its kin to what they hold, set apart by spaces; subscripts keep theirs together."""
    while match := TEXT.search(text):
        end = matching(text, match.end() - 1)
        if end < 0:
            return text
        inner = text[match.end() : end]
        before = text[: match.start()]
        apart = inner if before.endswith(("_", "^", "{")) else f" {inner} "
        text = before + apart + text[end + 1 :]
    return text


def _plain_functions(text: str) -> str:
    """sqrt(2), 2*pi, x**2, exp(t) and the like as LaTeX writes them."""
    text = text.replace("**", "^")
    text = re.sub(r"(?<![A-Za-z\\])(?:sqrt|Sqrt)\s*\(", r"\\sqrt(", text)
    text = re.sub(r"(?<![A-Za-z\\])(?:cbrt)\s*\(", r"\\sqrt[3](", text)
    text = _brace_arguments(text, re.compile(r"\\sqrt(?:\[[^\[\]]*\])?(?=\()"))
    text = re.sub(r"\^\s*(?=\()", "^", text)
    text = _brace_arguments(text, re.compile(r"\^(?=\()"))
    text = re.sub(r"\^\s*([+-]?\d+(?:\.\d+)?)(?![\d}])", r"^{\1}", text)
    text = re.sub(r"(?<![A-Za-z\\])(a(?:sin|cos|tan))(h?)\s*(?=\()", lambda m: rf"\arc{m[1][1:]}{m[2]}", text)
    text = re.sub(rf"(?<![A-Za-z\\])({'|'.join(FUNCTIONS)})(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\exp\s*\{", r"\\exp{", text)
    text = re.sub(r"(?<![A-Za-z\\])exp\s*(?=[({])", r"\\exp", text)
    text = re.sub(r"\\exp\s*(?=[({])", "e^", text)
    text = _brace_arguments(text, re.compile(r"(?<![A-Za-z])e\^(?=\()"))
    text = re.sub(rf"(?<![A-Za-z\\])({'|'.join(NAMES)}|pi)(?![A-Za-z])", r"\\\1 ", text)
    return re.sub(r"(?<![A-Za-z\\])(?:inf|infinity|oo)(?![A-Za-z])", r"\\infty ", text)


def _brace_arguments(text: str, head: re.Pattern[str]) -> str:
    """f(...) as f{...}, for heads that end right before the bracket."""
    found = list(head.finditer(text))
    for match in reversed(found):
        end = matching(text, match.end(), "()")
        if end > 0:
            text = f"{text[: match.end()]}{{{text[match.end() + 1 : end]}}}{text[end + 1 :]}"
    return text


def _trim(text: str) -> str:
    """Closing punctuation, surrounding quotes, stars, and a pair of braces around the whole."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip('*`"').strip()
        text = text.rstrip(".,;:?").rstrip() if not text.endswith(r"\ldots") else text
        text = text.removesuffix("\\").rstrip()
        if text.startswith("{") and matching(text, 0) == len(text) - 1:
            text = text[1:-1]
    return text
