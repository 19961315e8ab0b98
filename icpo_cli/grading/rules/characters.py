"""Unicode mathematical characters as LaTeX."""

import re
import unicodedata

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱᵀ", "0123456789+-()niT")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙᵢₓ", "0123456789+-()nix")
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000\t\r\n]+")
STYLED = re.compile("[\U0001d400-\U0001d7ff]")
"""Letters and digits of the mathematical alphabets."""

PLAIN = dict(zip("−–—‐‑∗÷⁄∕′’‘“”∣，；：∶（）％＝", "-----*///'''\"\"|,;::()%=", strict=True)) | {"″": "''", "∠": ""}
COMMANDS = dict(
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
    | {char: command if command.endswith("}") else f"{command} " for char, command in COMMANDS.items()}
    | {char: r"\frac{{{}}}{{{}}}".format(*fraction.split("/")) for char, fraction in FRACTIONS.items()}
)


def spelled_out(text: str) -> str:
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
