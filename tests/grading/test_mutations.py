"""Real answers with random mutations: each gets a verdict in time, and no worker crashes."""

import random
from collections import Counter

import pytest

from icpo_cli.data.benchmarks import load_benchmark
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, VerdictKind
from tests.grading.corpus import SHARED, cases_of, fail_with

COUNT = 10_000
SEED = 3
LATEX = [
    r"\frac",
    r"\frac{",
    r"\sqrt{",
    "^{",
    "_{",
    "{",
    "}",
    r"\left(",
    r"\right)",
    r"\text{",
    r"\pm",
    r"\%",
    r"\pi",
    "^",
]
LATEX += ["$", "$$", r"\[", r"\boxed{", r"\begin{pmatrix}", "&", r"\\", r"\cup", r"\infty", r"\int_0^", r"\sum_{n=1}^{"]
LATEX += [
    r"\cdot",
    r"\times 10^",
    "!",
    "=",
    ",",
    "(",
    ")",
    "[",
    "]",
    "|",
    "/",
    "e9",
    "x",
    "π",
    "−",
    "½",
    "²",
    " or ",
    "\\",
]
CONTROL = ["\0", "\x08", "\x1b[31m", "\x7f", "\u202e", "\u200b", "\ufeff", "\ud800", "\n", "\t", "\r"]


def real_answers() -> list[tuple[Gold, str]]:
    """(gold, answer) pairs of the corpus, and of the benchmarks if they are available."""
    pairs = [(case.gold, case.answer) for kind in AnswerKind for case in cases_of(kind)]
    pairs += [(case.gold, case.gold.answer) for kind in AnswerKind for case in cases_of(kind)]
    if (SHARED / "math500.jsonl").is_file():
        for name in ("math500", "minerva", "theoremqa", "mmlu_pro", "aime24"):
            pairs += [(q.gold, q.gold.answer) for q in load_benchmark(name, SHARED).questions]
    return pairs


def mutated(text: str, draw: random.Random) -> str:
    """Apply one to four random mutations."""
    for _ in range(draw.randint(1, 4)):
        text = draw.choice(MUTATIONS)(text, draw.randint(0, len(text)), draw)
    return text


def delete(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + text[at + draw.randint(1, 3) :]


def swap(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


def insert_latex(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + draw.choice(LATEX) * draw.choice([1, 1, 1, 2, 5]) + text[at:]


def insert_control(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + draw.choice(CONTROL) + text[at:]


def double_braces(text: str, at: int, draw: random.Random) -> str:
    brace = draw.choice("{}")
    return text.replace(brace, brace * 2)


def cut(text: str, at: int, draw: random.Random) -> str:
    return text[:at]


def repeat(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + text[at : at + 4] * draw.randint(2, 8) + text[at + 4 :]


def another_digit(text: str, at: int, draw: random.Random) -> str:
    return text[:at] + str(draw.randint(0, 9)) + text[at + 1 :]


MUTATIONS = [delete, swap, insert_latex, insert_control, double_braces, cut, repeat, another_digit]


@pytest.mark.parametrize("rule", ["strict"])
def test_no_mutation_crashes_or_hangs(rule: str, verifier: Verifier) -> None:
    draw = random.Random(SEED)
    pairs = real_answers()
    answers = [Answer(mutated(answer, draw), gold) for gold, answer in draw.choices(pairs, k=COUNT)]
    verdicts = verifier.verify(answers, Grading("none", rule))
    assert len(verdicts) == COUNT
    bad = [
        f"gold {a.gold.answer!r} ({a.gold.kind}), answer {a.response!r}: {verdict.kind}: {verdict.reason}"
        for a, verdict in zip(answers, verdicts, strict=True)
        if verdict.rule in ("crash", "deadline")
    ]
    fail_with(bad, COUNT)
    counts = Counter(verdict.kind for verdict in verdicts)
    assert counts[VerdictKind.WRONG] > COUNT / 2 and counts[VerdictKind.CORRECT] > COUNT / 50, counts
