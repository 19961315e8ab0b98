"""Normalisation: Unicode, Markdown, plain text and variants of LaTeX to one LaTeX notation."""

import re
import unicodedata
from collections.abc import Callable

from icpo_cli.grading.rules.brackets import matching

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵀ", "0123456789+-()niT")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓ", "0123456789+-()nix")
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000\t\r\n]+")
STYLED = re.compile("[\U0001d400-\U0001d7ff]")
"""Letters and digits of the mathematical alphabets."""

PLAIN = dict(zip("−–—‐‑∗÷⁄∕′’‘“”∣，；：∶（）％＝", "-----*///'''\"\"|,;::()%=", strict=True)) | {"″": "''", "∠": ""}
CHARACTERS = dict(
    pair.split()
    for pair in r"""
    × \times|✕ \times|· \cdot|⋅ \cdot|∙ \cdot|± \pm|∓ \mp|≤ \le|⩽ \le|≥ \ge|⩾ \ge|≠ \ne|≈ \approx|≃ \approx
    |∞ \infty|∪ \cup|∩ \cap|∈ \in|∅ \emptyset|∖ \setminus|… \ldots|⟨ \langle|⟩ \rangle|⌊ \lfloor|⌋ \rfloor
    |ℏ \hbar|ħ \hbar|∫ \int|∑ \sum|∂ \partial|∇ \nabla|→ \to|⇒ \Rightarrow|∘ \circ|∨ \lor|∧ \land|¬ \neg|≡ \equiv
    |ℝ \R|ℤ \Z|ℕ \N|ℚ \Q|ℂ \C|° ^{\circ}|℃ ^{\circ}C|℉ ^{\circ}F|î \hat{i}|ĵ \hat{j}
    |α \alpha|β \beta|γ \gamma|δ \delta|ε \epsilon|ϵ \epsilon|ζ \zeta|η \eta|θ \theta|ι \iota|κ \kappa|λ \lambda
    |μ \mu|µ \mu|ν \nu|ξ \xi|π \pi|ρ \rho|σ \sigma|τ \tau|υ \upsilon|φ \phi|ϕ \phi|χ \chi|ψ \psi|ω \omega
    |Γ \Gamma|Δ \Delta|Θ \Theta|Λ \Lambda|Ξ \Xi|Π \Pi|Σ \Sigma|Φ \Phi|Ψ \Psi|Ω \Omega|Ω \Omega
    """.split("|")
)
FRACTIONS = dict(
    zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒",
        "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/7 1/8 3/8 5/8 7/8 1/9 1/10".split(),
        strict=True,
    )
)
TABLE = str.maketrans(
    PLAIN
    | {char: command if command.endswith("}") else f"{command} " for char, command in CHARACTERS.items()}
    | {char: r"\frac{{{}}}{{{}}}".format(*fraction.split("/")) for char, fraction in FRACTIONS.items()}
)

Rewrites = tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]
"""Applied in order, each to the complete text."""

FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log"
GREEK = "alpha|beta|gamma|delta|epsilon|theta|lambda|sigma|omega|phi|rho|tau|mu|pi"
START = r"(?<![A-Za-z\\])"
END = r"(?![A-Za-z])"
TEXT = re.compile(r"\\(?:text|mathrm|textrm|textbf|textit|textsf|texttt|mbox|hbox|rm|operatorname\*?|emph)\s*\{")


def _rewrites(*pairs: tuple[str, str | Callable[[re.Match[str]], str]]) -> Rewrites:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def _primes(found: re.Match[str]) -> str:
    """A letter and as many primes as the derivative's order."""
    return f"{next(filter(None, found.groups()))}{chr(39) * (2 if '2' in found[0] or 'ddot' in found[0] else 1)}"


LAYOUT = _rewrites(
    (r"\.{3,}|\\[cl]?dots(?![a-z])", r"\\ldots "),
    (r"\\begin\{cases\}(.*?)\\end\{cases\}", lambda found: found[1].replace(r"\\", ", ")),
    (r"\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|biggl|biggr)(?![a-z])\s*\.?", ""),
    # Thousands separators: 32,\!348, 10{,}080, 10\,080.
    (r",\s*\\!\s*", ","),
    (r"\{,\}", ","),
    (r"\\!", ""),
    (r"(?<=\d)(?:\\[,;:]|~)(?=\d{3}(?!\d))", ""),
    # Math delimiters, except a dollar sign that is a currency.
    (r"\\\(|\\\)|\\\[|\\\]|(?<!\\)\$\$?", " "),
    (r"\\R\s*\\\s+(?=\\?[{(\[])", r"\\R \\setminus "),
    (r"(?<!\\)\\(?:quad|qquad|hspace\{[^{}]*\}|[,;: ])|(?<!\\)~", " "),
)
COMMANDS = _rewrites(
    (r"\\(?:approx|simeq|thickapprox|doteq)(?![a-z])", " = "),
    (r"\\[dtc]frac(?![a-z])", r"\\frac"),
    (r"\\[dt]binom(?![a-z])", r"\\binom"),
    (r"\\(?:leq|leqslant)(?![a-z])", r"\\le "),
    (r"\\(?:geq|geqslant)(?![a-z])", r"\\ge "),
    (r"\\neq(?![a-z])", r"\\ne "),
    (r"\\lt(?![a-z])", "<"),
    (r"\\gt(?![a-z])", ">"),
    (r"\\lbrace(?![a-z])", r"\\{"),
    (r"\\rbrace(?![a-z])", r"\\}"),
    (r"\\(?:lvert|rvert|vert|mid)(?![a-z])", "|"),
    (r"\\varnothing", r"\\emptyset"),
    (r"\\var(epsilon|phi|theta|rho)", r"\\\1"),
    (r"\\mathbb\s*\{?\s*([RZNQC])\s*\}?", r"\\\1 "),
    (r"\\mathrm\s*\{?\s*([edi])\s*\}?(?![A-Za-z])(?=[\s^}x]|$)", r"\1"),
    (r"\^\s*\\circ|\^\s*\{\s*\\circ\s*\}|\\degree(?![a-z])", r"^{\\circ}"),
    (r"\\(?:boxed|fbox|mathbf|boldsymbol|bm|displaystyle|textstyle|mathit|mathsf|mathtt|ensuremath)\b", ""),
)
ARGUMENTS = _rewrites(
    (r"\\(frac|binom)\s*(\d)\s*(\d)(?!\d)", r"\\\1{\2}{\3}"),
    (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    (r"\\frac\s*(\{[^{}]*\})\s*(\d|[A-Za-z])", r"\\frac\1{\2}"),
    (r"\\frac\s+", r"\\frac"),
    (r"\\frac(\{[^{}]*\})\s+\{", r"\\frac\1{"),
    (r"\\sqrt\s*(\d+)(?!\d*\])", r"\\sqrt{\1}"),
    (r"\\sqrt\s*([A-Za-z])", r"\\sqrt{\1}"),
    (r"\\sqrt\s+(?=[{\[\\])", r"\\sqrt"),
    (r"\\sqrt(\\[a-z]+)", r"\\sqrt{\1}"),
    (r"\{([^{}]*?)\\over(?![a-z])([^{}]*)\}", r"\\frac{\1}{\2}"),
    (r"\{([^{}]*?)\\choose(?![a-z])([^{}]*)\}", r"\\binom{\1}{\2}"),
)
DERIVATIVES = _rewrites(
    (r"\\frac\{\s*d\^\{?2\}?\s*([A-Za-z])\s*\}\{\s*d\s*[a-z]\^\{?2\}?\s*\}|\\ddot\{?\s*([A-Za-z])\s*\}?", _primes),
    (r"\\frac\{\s*d\s*([A-Za-z])\s*\}\{\s*d\s*[a-z]\s*\}|\\dot\{?\s*([A-Za-z])\s*\}?", _primes),
    (rf"(?<![A-Za-z])d([a-z])\s*/\s*d[a-z]{END}", r"\1'"),
    (r"\^\s*\{?((?:\\prime\s*)+)\}?", lambda found: "'" * found[1].count("prime")),
)
FUNCTION_NAMES = _rewrites(
    (rf"{START}(?:np|numpy|math|sp|sympy)\.", ""),
    (rf"{START}[sS]qrt\s*(?=\()", r"\\sqrt"),
    (rf"{START}cbrt\s*(?=\()", r"\\sqrt[3]"),
    (r"\^\s*(?=\()", "^"),
    (r"\^\s*([+-]?\d+(?:\.\d+)?)(?![\d}])", r"^{\1}"),
    (rf"{START}a(sin|cos|tan)(h?)\s*(?=\()", r"\\arc\1\2"),
    (rf"{START}({FUNCTIONS}){END}", r"\\\1 "),
    (r"(?:\\|(?<![A-Za-z\\]))exp\s*(?=[({])", "e^"),
    (rf"{START}({GREEK}){END}", r"\\\1 "),
    (rf"{START}(?:inf|infinity|oo){END}", r"\\infty "),
)
SPOKEN = _rewrites(
    (r"(^|[\s=,(]|\\in\s*|\\setminus\s*)\{([^{}]*[,|:<>=][^{}]*)\}", r"\1\\{\2\\}"),  # {1, 2} is a set
    (r"(?<=\d)\.(?=\s*(?:[/*+)-]|$))", ""),
    (r"\bplus or minus\b|\bplus/minus\b", r" \\pm "),
    (r"\bdivided by\b", "/"),
    (r"\bper cent\b", "percent"),
    (rf"\\log\s*_\s*\{{?e\}}?{END}", r"\\ln "),
    (r"\\?log\s*,? base (\d+) of (\w+)", r"\\log_{\1} \2"),
    (rf"(\d+) choose (\d+)|{START}C\(\s*(\d+)\s*,\s*(\d+)\s*\)", r"\\binom{\1\3}{\2\4}"),
    (r"(?<=\S )equals(?= \S)", "="),
    (r"\bsquare root of (\w+)", r"\\sqrt{\1}"),
    (r"(?<=\d)\s+and\s+(?=\d+\s*/\s*\d)", " "),
    (r"(?<=\d) over (?=\d)", "/"),
)
BRACED = tuple(re.compile(head) for head in (r"\\sqrt(?:\[[^\[\]]*\])?(?=\()", r"\^(?=\()"))
"""Heads whose argument in round brackets becomes a braced one: sqrt(2), x^(n+1), e^(t)."""


def canonical(text: str) -> str:
    """The text in normalised LaTeX, without outer delimiters and final punctuation."""
    text = re.sub(r"\s+", " ", _spelled_out(text))
    if text.count("$") == 1:  # no pair: money
        text = re.sub(r"^(\s*-?\s*)(?:US)?\$(?=\s*[\d.])", r"\1\\$", text)
    for rewrites in (LAYOUT, COMMANDS, ARGUMENTS, DERIVATIVES):
        text = _applied(rewrites, text)
    text = _imaginary_i(_unwrapped(text.replace("**", "") if _is_bold(text) else text.replace("**", "^")))
    text = _applied(FUNCTION_NAMES, text)
    for head in BRACED:
        text = _brace_arguments(text, head)
    return _trim(re.sub(r"\s+", " ", _applied(SPOKEN, text)).strip())


def _spelled_out(text: str) -> str:
    """Replace mathematical characters by LaTeX commands, any space by one space, and remove invisible characters."""
    text = SPACES.sub(" ", text.translate(INVISIBLE)).replace("k\u0302", r"\hat{k}")
    text = STYLED.sub(lambda styled: unicodedata.normalize("NFKC", styled[0]), text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵀ]+", lambda raised: f"^{{{raised[0].translate(SUPERSCRIPTS)}}}", text)
    text = re.sub(r"[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓ]+", lambda lowered: f"_{{{lowered[0].translate(SUBSCRIPTS)}}}", text)
    text = re.sub(r"[√∛∜]\s*(\([^()]*\)|\d+(?:\.\d+)?|[A-Za-zπ])?", _root, text)
    return text.translate(TABLE)


def _root(sign: re.Match[str]) -> str:
    index = {"√": "", "∛": "[3]", "∜": "[4]"}[sign[0][0]]
    inner = sign[1][1:-1] if (sign[1] or "").startswith("(") else sign[1]
    return rf"\sqrt{index}{{{inner}}}" if inner else rf"\sqrt{index}"


def _applied(rewrites: Rewrites, text: str) -> str:
    for pattern, replacement in rewrites:
        text = pattern.sub(replacement, text)
    return text


def _is_bold(text: str) -> bool:
    """Whether double stars are Markdown's emphasis, not Python's power operator."""
    return re.search(r"(?:^|\s)\*\*\S.*?\*\*", text) is not None


def _imaginary_i(text: str) -> str:
    """Write 3 + 4j as 3 + 4i, unless the text contains an i."""
    if re.search(r"i(?![a-z])", text):
        return text
    return re.sub(r"(?<=\d)\s*j(?![A-Za-z])|(?<![A-Za-z\\])j(?=\d)", "i", text)


def _unwrapped(text: str) -> str:
    r"""Replace \text{...} and similar commands by their content between spaces; in subscripts without spaces."""
    while found := TEXT.search(text):
        end = matching(text, found.end() - 1)
        if end < 0:
            return text
        before, inner = text[: found.start()], text[found.end() : end]
        spaced = inner if before.endswith(("_", "^", "{")) else f" {inner} "
        text = before + spaced + text[end + 1 :]
    return text


def _brace_arguments(text: str, head: re.Pattern[str]) -> str:
    """Write f(...) as f{...}, for heads that end directly before the bracket."""
    for found in reversed(list(head.finditer(text))):
        end = matching(text, found.end(), "()")
        if end > 0:
            text = f"{text[: found.end()]}{{{text[found.end() + 1 : end]}}}{text[end + 1 :]}"
    return text


def _trim(text: str) -> str:
    """Remove final punctuation, quotes and stars, and braces around the complete text."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip('*`"').strip()
        text = text.rstrip(".,;:?").rstrip() if not text.endswith(r"\ldots") else text
        text = text.removesuffix("\\").rstrip()
        if text.startswith("{") and matching(text, 0) == len(text) - 1:
            text = text[1:-1]
    return text
