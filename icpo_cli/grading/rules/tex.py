r"""TeX and plain text in one notation: a tokenizer with TeX's rule for arguments, style removed, synonyms merged.

In the result every argument has braces (\frac12 is \frac{1}{2}, x^2 is x^{2}), a spelling stands for its synonyms
(\leq and ≤ are \le), and nothing is left that only changes the look. Braces around a part of a sum are kept.
"""

import re
import unicodedata
from functools import lru_cache

from icpo_cli.grading.rules.brackets import TOKEN, masked, matching

MAX_CHARS = 2000
"""Maximum characters of an answer; a longer text is not rewritten."""
MAX_DEPTH = 48
"""Maximum depth of nested arguments; a deeper text is not rewritten."""

PLAIN = dict(zip("−–—‐‑∗÷⁄∕′’‘“”∣，；：（）％＝、∶", "-----*///'''\"\"|,;:()%=,:", strict=True)) | {"″": "''"}
PLAIN |= dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad∎■", "")
CHARACTERS = dict(
    pair.split()
    for pair in r"""
    × \times|✕ \times|· \cdot|⋅ \cdot|∙ \cdot|± \pm|∓ \mp|≤ \le|⩽ \le|≥ \ge|⩾ \ge|≠ \ne|≈ \approx|≃ \approx|∞ \infty
    |∪ \cup|∩ \cap|∈ \in|∅ \emptyset|∖ \setminus|… \ldots|⟨ \langle|⟩ \rangle|⌊ \lfloor|⌋ \rfloor|ℏ \hbar|ħ \hbar
    |∫ \int|∑ \sum|∂ \partial|∇ \nabla|→ \to|⇒ \implies|⇔ \iff|∘ \circ|∨ \lor|∧ \land|¬ \neg|≡ \equiv|⊂ \subset
    |ℝ \R|ℤ \Z|ℕ \N|ℚ \Q|ℂ \C|° ^{\circ}|℃ ^{\circ}C|℉ ^{\circ}F|î \hat{i}|ĵ \hat{j}|√ \sqrt|∛ \sqrt[3]|∜ \sqrt[4]
    |∠ \angle|△ \triangle
    """.split("|")
)
SYNONYMS = {
    name: spelling
    for line in r"""
    \le leq leqslant; \ge geq geqslant; \ne neq; < lt; > gt; \{ lbrace {; \} rbrace }; | lvert rvert vert mid |
    ; = approx simeq thickapprox doteq; \emptyset varnothing; \epsilon varepsilon; \phi varphi; \theta vartheta
    ; \rho varrho; \neg lnot; \land wedge; \lor vee; \implies Rightarrow Longrightarrow; \sin sen; \tan tg; \cot ctg
    ; \iff Leftrightarrow Longleftrightarrow leftrightarrow; \to rightarrow longrightarrow; \ldots dots cdots; ' prime
    ; \arctan arctg; ^{\circ} degree; \setminus backslash; T top intercal; | lVert rVert Vert
    ; \subset subsetneq; \mu micro; \log_{10} lg; % %; & &; # #; _ _; \$ $; \\ newline cr; i imath; j jmath
    """.split(";")
    for spelling, *names in [line.split()]
    for name in names
}
SIZES = frozenset(
    """left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle limits
    nolimits scriptstyle bf rm it tt sf sl em sc cal bfseries itshape large Large LARGE huge Huge small normalsize tiny
    boldmath hline centering noindent nonumber hfill""".split()
)
"""Commands that are dropped."""
SPACES = frozenset("quad qquad enspace thinspace space , : ; > /".split()) | {" ", "\n"}
WRAPPERS = frozenset(
    "mbox hbox operatorname emph underline framebox boxed fbox boldsymbol bm ensuremath pmb ce num".split()
)
"""Commands that only change the look of their argument, besides those that begin with text or math."""
SKIPPED = frozenset("color hspace vspace phantom label tag textcolor colorbox".split())
ACCENTS = {name: name for name in ("bar", "hat", "vec", "tilde", "check", "dot", "ddot")}
ACCENTS |= {"widehat": "hat", "overline": "bar", "overrightarrow": "vec", "widetilde": "tilde"}
FRACTIONS = dict.fromkeys("frac dfrac tfrac cfrac nicefrac sfrac".split(), "frac")
FRACTIONS |= dict.fromkeys("binom dbinom tbinom".split(), "binom")
FUNCTIONS = frozenset("arcsin arccos arctan sinh cosh tanh sin cos tan cot sec csc ln log".split())
GREEK = "alpha beta gamma delta epsilon theta lambda sigma omega phi rho tau mu pi".split()
WORDS = {name: name for name in (*FUNCTIONS, *GREEK, "sqrt")} | dict.fromkeys(("inf", "infinity", "oo"), "infty")
WORDS |= {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "Sqrt": "sqrt"}
"""Plain words that are commands."""

THIN, NEGATIVE = "\x01", "\x02"
"""Marks of a thin and of a negative space until it is known whether they separate thousands."""
RAISED, LOWERED = "\x04", "\x05"
"""Marks before each raised or lowered character."""
SCRIPTS = re.compile(rf"([{RAISED}{LOWERED}])[^{RAISED}{LOWERED}](?:\1[^{RAISED}{LOWERED}])*")
NAME = r"(?:[A-Za-z]|\\[a-z]+ ?)(?:_\{[^{}]*\})?"
DERIVED = re.compile(rf"(d|\\partial)\s*(?:\^\{{(\d)\}})?\s*({NAME}(?:\([a-z]\))?)")
BY = re.compile(rf"(?:(?:d|\\partial)\s*{NAME}\s*(?:\^\{{\d\}})?)+")

Rewrites = tuple[tuple[re.Pattern[str], str], ...]


def _rewrites(*pairs: tuple[str, str]) -> Rewrites:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


BEFORE = _rewrites(
    (r"\s+", " "),
    (r"\.{3,}", r"\\ldots "),
    (r"<=|=<", r"\\le "),
    (r">=", r"\\ge "),
    (r"!=", r"\\ne "),
    (r":=|==", "="),
    (r"\\\\ ?(?:\* ?)?\[ ?-?[\d.]+ ?[a-z]{2} ?\]", r"\\\\"),
    (r"(?<![A-Za-z\\])(?:np|numpy|math|sp|sympy)\.(?=[a-z])", ""),
    (r"(?<!\\)\$\$", " "),
    (r"(?<=[spdf])\^(\d)(?=\d[spdf](?![a-z]))", r"^{\1}"),  # electrons: 3d^54s^1
    (r"\\(operatorname|hspace|text)\*", r"\\\1"),
    (r"(\\R|\\mathbb ?\{?R\}?) ?\\ (?=\\?\{)", r"\1 \\setminus "),
    (r"(?:\bUS)?(?<![\\$])\$(?= ?\.?\d)(?=[^$]*$|[^$]* (?:US)?\$\d)", r"\\$"),  # a dollar sign that no other closes
)
UNITS = _rewrites(
    (r"\\per ?", "/"),
    (r"\\squared ?", "^{2}"),
    (r"\\cubed ?", "^{3}"),
    (r"\\(kilo|mega|giga|milli|centi|micro|nano) ?\\", r" \1"),
    (r"\\(?=[a-z])", " "),
)
"""Names of siunitx."""
AFTER = _rewrites(
    (rf"(?<=\d)[ {THIN}{NEGATIVE}]*{THIN}[ {THIN}{NEGATIVE}]*(?=\d{{3}}(?!\d))", ""),
    (rf"(?<=\d{{3}}){THIN}(?=\d{{1,3}}(?!\d))", ""),
    (rf", ?{NEGATIVE} ?", ","),
    (NEGATIVE, ""),
    (rf"[ {THIN}]+", " "),
    (r"(\\[A-Za-z]+) (?![A-Za-z])", r"\1"),
    (r"(?<![A-Za-z])sp\^\{([23])\}", r"sp\1"),
    (r"\\\{ ?\\\}", r"\\emptyset"),
    (r"(?<=\d)\^\{ ?(th|st|nd|rd) ?\}", r"\1"),
    (r"(?<=\+) ?const(?:ant)?(?![a-z])", "C"),
    (r"(?<=\d)\*I(?![A-Za-z])", "i"),
    (r"[_^]\{([^{}]+)\} ?C_\{([^{}]+)\}|(?<![A-Za-z])C_\{(\d+)\}\^\{(\d+)\}", r"\\binom{\1\3}{\2\4}"),
    (r"(?<![A-Za-z\\])d([a-z])/d([a-z])(?![A-Za-z])", r"\\D{\2}{\1'}"),
    (r"\bplus or minus\b|\bplus/minus\b", r" \\pm "),
    (r"\bdivided by\b", "/"),
    (r"\bper cent\b", "percent"),
    (r"\\?log ?,? base (\d+) of (\w+)", r"\\log_{\1} \2"),
    (r"(\d+) choose (\d+)|(?<![A-Za-z\\])C\( ?(\d+) ?, ?(\d+) ?\)", r"\\binom{\1\3}{\2\4}"),
    (r"(?<=[^ ] )equals(?= [^ ])", "="),
    (r"\bsquare root of (\w+)", r"\\sqrt{\1}"),
    (r"(?<=\d) and (?=\d+ ?/ ?\d)", " "),
    (r"(?<=\d) over (?=\d)", "/"),
    (r"(?<=\d)\.(?= ?(?:[/*+)-]|$))", ""),
    (r"^ ?([+-]?\d*\.\d{0,9}?)(?:\((\d{1,9})\)|(\d{1,9}) repeating|(\d{1,9}?)\4{1,9} ?\\ldots)$", r"\1\\bar{\2\3\4}"),
)


@lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """The text in the one notation, without outer delimiters and final punctuation."""
    if len(text) > MAX_CHARS:
        return text.strip()
    text = _applied(BEFORE, "".join(map(_in_tex, text.replace("k\u0302", r"\hat{k}"))))
    text = SCRIPTS.sub(lambda run: f"{'^' if run[1] == RAISED else '_'}{{{run[0].replace(run[1], '')}}}", text)
    text = text.replace("**", "" if re.search(r"(?:^| )\*\*\S.*\*\*", text) else "^")
    try:
        text = _Reader(TOKEN.findall(text)[::-1], 0).read()
    except RecursionError:
        return text.strip()
    return _trimmed(_imaginary_i(_applied(AFTER, text).strip()))


def _applied(rewrites: Rewrites, text: str) -> str:
    for pattern, replacement in rewrites:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=4096)
def _in_tex(char: str) -> str:
    """A character in ASCII, if it is mathematics."""
    if char.isascii():
        return char
    if char in PLAIN or char in CHARACTERS:
        spelled = PLAIN.get(char) or CHARACTERS.get(char, "")
        return f"{spelled} " if spelled[-1:].isalpha() else spelled
    form, _, _ = unicodedata.decomposition(char).partition(" ")
    simple = unicodedata.normalize("NFKC", char)
    if form in ("<super>", "<sub>"):
        return (RAISED if form == "<super>" else LOWERED) + PLAIN.get(simple, simple)
    if form == "<fraction>" and "⁄" in simple:
        return r"\frac{{{}}}{{{}}}".format(*simple.split("⁄"))
    greek = re.fullmatch(
        r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(simple, "") if len(simple) == 1 else ""
    )
    if greek and len(greek[2]) < 8:
        name = greek[2].lower().replace("lamda", "lambda")
        return f"\\{name if greek[1] == 'SMALL' else name.capitalize()} "
    return simple if form == "<font>" else char


class _Reader:
    """Reads tokens with their arguments and writes them in the one notation."""

    def __init__(self, rest: list[str], depth: int) -> None:
        self._rest = rest
        """The tokens not read yet, the next one last."""
        self._depth = depth

    def read(self, closing: str = "") -> str:
        """All up to the closing token, which is consumed."""
        self._depth += 1
        parts: list[str] = []
        while self._rest and (token := self._rest.pop()) != closing:
            if token in (r"\over", r"\choose"):
                head = "frac" if token == r"\over" else "binom"
                parts = [f"\\{head}{{{''.join(parts).strip()}}}{{{self.read(closing).strip()}}}"]
                break
            parts.append(self._one(token))
        self._depth -= 1
        return "".join(parts)

    def _one(self, token: str) -> str:
        """The token with its arguments."""
        if self._depth > MAX_DEPTH:
            raise RecursionError
        if token == "{":
            return _group(self.read("}"))
        if token in "^_":
            return self._script(token)
        if token in "$~`":
            return {"$": " ", "~": THIN, "`": ""}[token]
        if token[0] == "\\" and len(token) > 1:
            return self._command(token[1:])
        if token in ("exp", "cbrt") and self._next() == "(":
            return rf"e^{{{self._argument()}}}" if token == "exp" else rf"\sqrt[3]{{{self._argument()}}}"
        return self._command(WORDS[token]) if token in WORDS else token

    def _command(self, name: str) -> str:
        if name in SIZES:
            if name in ("left", "right", "middle") and self._next() == ".":
                self._rest.pop()
            return ""
        if name in SPACES or name in "!()[]":
            return NEGATIVE if name == "!" else THIN if name in SPACES else " "
        if name in SKIPPED:
            self._argument()
            return self._argument() if name in ("textcolor", "colorbox") else THIN if "space" in name else ""
        if name in WRAPPERS or name.startswith(("text", "math")):
            if name == "framebox":
                self._option()
            content = self._argument()
            if name == "mathbb" and content in "RZNQC":
                return f"\\{content} "
            return f" {content} " if re.search(r"[^\W\d_]{2}", content) else content
        if name in ACCENTS:
            return self._accent(ACCENTS[name])
        if name in FRACTIONS:
            return _fraction(FRACTIONS[name], self._argument().strip(), self._argument().strip())
        if name in ("sqrt", "surd"):
            index = self._option()
            return rf"\sqrt{f'[{index}]' if index else ''}{{{self._argument(number=True).strip()}}}"
        if name == "root":
            index = self.read(r"\of").strip()
            return rf"\sqrt[{index}]{{{self._argument(number=True)}}}"
        if name == "exp":
            return f"e^{{{self._argument()}}}"
        if name in FUNCTIONS and self._next() == "{":
            return f"\\{name}{{{self._argument()}}}"
        if name in ("SI", "qty", "si", "unit"):
            value = self._argument() if name in ("SI", "qty") else ""
            return f"{value} {_applied(UNITS, self._argument())}"
        if name == "ang":
            parts = zip(self._argument().split(";"), (r"^{\circ}", "'", "''"), strict=False)
            return "".join(f"{part}{sign}" for part, sign in parts if part)
        if name == "begin":
            return self._environment()
        spelling = SYNONYMS.get(name, f"\\{name}")
        return f"{spelling} " if spelling[-1].isalpha() and spelling[0] == "\\" else spelling

    def _next(self) -> str:
        """The next token that is neither space nor size, which are skipped."""
        while self._rest and (self._rest[-1].isspace() or self._rest[-1][1:] in SIZES):
            self._rest.pop()
        return self._rest[-1] if self._rest else ""

    def _argument(self, number: bool = False) -> str:
        """The next argument: a group or a bracket, a command with its own, or one letter or digit.

        `number`: all digits of a number, as people write without TeX.
        """
        token = self._next()
        if not token or token == "}":
            return ""
        self._rest.pop()
        if token == "{":
            return self.read("}")
        if token in ("(", "[", r"\{") and (inside := self._bracketed(token)) is not None:
            return inside
        if token[0] == "\\":
            self._depth += 1
            content = self._one(token).strip()
            self._depth -= 1
            return content
        if len(token) > 1 and not (number and token.isdigit()):
            self._rest.append(token[1:])
            return token[0]
        return token

    def _bracketed(self, opening: str) -> str | None:
        """The content of the bracket just read; None if it is not closed."""
        closing = {"(": ")", "[": "]", r"\{": r"\}"}[opening]
        depth = 1
        for index in range(len(self._rest) - 1, -1, -1):
            depth += (self._rest[index] == opening) - (self._rest[index] == closing)
            if depth == 0:
                inside, self._rest = self._rest[index + 1 :], self._rest[:index]
                return _Reader(inside, self._depth).read()
        return None

    def _option(self) -> str:
        """The next argument in square brackets, if there is one."""
        if self._next() != "[":
            return ""
        self._rest.pop()
        return self._bracketed("[") or ""

    def _script(self, sign: str) -> str:
        """A sub- or superscript; primes as their signs."""
        token = self._next()
        if token in ("+", "-", "*", "'"):
            content = self._rest.pop()
            if token in ("+", "-") and self._rest and (self._rest[-1][0].isalnum() or self._rest[-1][0] in "\\({"):
                content += self._argument(number=True)
        else:
            content = self._argument(number=True).strip()
            decimals = "".join(self._rest[:-3:-1])
            if sign == "^" and content.isdigit() and re.fullmatch(r"\.\d+", decimals):
                content += decimals
                del self._rest[-2:]
        if not content.replace("'", "").strip():
            return content.replace(" ", "")
        content = re.sub(r"\\(max|min)\b ?", r"\1", content)
        return f"{sign}{{{content.strip()}}}"

    def _accent(self, name: str) -> str:
        content = self._argument(number=True).strip()
        if name in ("dot", "ddot") and not content.isdigit():
            return content + "'" * (2 if name == "ddot" else 1)
        return f"\\{'bar' if name == 'dot' else name}{{{content}}}"

    def _environment(self) -> str:
        name = self._argument()
        table = name.startswith(("array", "tabular"))
        if table:
            self._option()
            self._argument()
        inside = self.read(r"\end").strip()
        self._argument()
        if table or "matrix" in name:
            kind = "vmatrix" if name in ("vmatrix", "Vmatrix") else "pmatrix"
            return rf"\begin{{{kind}}}{inside}\end{{{kind}}}"
        return re.sub(r"(?: ?,? ?\\\\ ?)+", ", ", inside.replace("&", "").removesuffix(r"\\"))


def _group(inside: str) -> str:
    r"""A group that is no argument: \{...\} if it lists, in braces if it is a sum, else without them."""
    content = inside.strip()
    if len(content) > 1 and re.search("[,|:]", masked(content)):
        return rf"\{{{content}\}}"
    return f"{{{content}}}" if len(content) > 1 and re.search("[+-]", masked(content)) else inside


def _fraction(head: str, top: str, bottom: str) -> str:
    """A fraction, or the derivative that it means: \\D{variable}{name and primes}."""
    derived = DERIVED.fullmatch(top)
    if head == "binom" or not derived or not BY.fullmatch(bottom):
        return rf"\{head}{{{top}}}{{{bottom}}}"
    variables = re.sub(r"\\partial |^d ?|\^\{\d\}| ", "", bottom)
    kind = r"\partial " if derived[1] == r"\partial" else ""
    return rf"\D{{{kind}{variables}}}{{{derived[3].strip()}{chr(39) * int(derived[2] or 1)}}}"


def _imaginary_i(text: str) -> str:
    """Write 3 + 4j as 3 + 4i, unless the text contains an i."""
    if "j" not in text or re.search(r"i(?![a-z])", text):
        return text
    return re.sub(r"(?<=\d) ?j(?![A-Za-z])|(?<![A-Za-z\\])j(?=\d)", "i", text)


def _trimmed(text: str) -> str:
    """Remove final punctuation, quotes and stars, and braces around the complete text."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip('*"').strip()
        text = text.rstrip(".,;:?").rstrip() if not text.endswith(r"\ldots") else text
        text = text.removesuffix("\\\\").removeprefix("+").rstrip()
        if text.startswith("'") and text.endswith("'") and len(text) > 2:
            text = text[1:-1]
        if text.startswith("{") and matching(text, 0) == len(text) - 1:
            text = text[1:-1]
    return text
