"""Answers and comparisons that would hang, crash or deceive a grader; the pool works afterwards."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from icpo_cli.config.schema import RewardConfig, SandboxConfig
from icpo_cli.grading.extraction import EXTRACTORS
from icpo_cli.grading.verifier import RULES, Answer, Grading, Verifier
from icpo_cli.records import AnswerKind, Gold, Verdict, VerdictKind
from tests.grading.corpus import cases_of, describe, fail_with
from tests.grading.misbehaving import CRASHES, HANGS, RULE
from tests.processes import alive

WORKERS = 2
SHORT = SandboxConfig(workers=WORKERS, deadline_seconds=2.0, memory_mib=256)
MEGABYTE = 1_000_000
AS_IT_IS = Grading(extract="none")
MISBEHAVING = Grading(extract="none", rule="misbehaving")
SUM, SUM_OTHERWISE = Gold("x^2+2x+1", AnswerKind.MATH), "(x+1)^2"
"""A pair whose equality only the sandbox can decide."""
GOLDS = {
    AnswerKind.MATH: Gold(r"\frac{1}{2}", AnswerKind.MATH),
    AnswerKind.NUMBER: Gold("42", AnswerKind.NUMBER),
    AnswerKind.LETTER: Gold("C", AnswerKind.LETTER, ("copper", "aluminium", "silver", "iron")),
    AnswerKind.TEXT: Gold("east", AnswerKind.TEXT),
    AnswerKind.BOOL: Gold("True", AnswerKind.BOOL),
    AnswerKind.LIST: Gold("[3, 5]", AnswerKind.LIST),
}


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """A verifier with a short deadline and a rule that misbehaves on request."""
    RULES["misbehaving"] = RULE
    with Verifier(RewardConfig(sandbox=SHORT)) as made:
        yield made
    del RULES["misbehaving"]


@pytest.fixture(autouse=True)
def whole_afterwards(verifier: Verifier) -> Iterator[None]:
    """After each test: as many live workers as before, and a sandbox comparison gives the right verdict."""
    until(lambda: still_grades(verifier), "the pool does not grade")
    yield
    until(lambda: still_grades(verifier), "the pool does not grade any more")
    until(lambda: len(workers()) == WORKERS, "the pool is not back at full strength")


def still_grades(verifier: Verifier) -> bool:
    return all(verdict.correct for verdict in verifier.verify([Answer(SUM_OTHERWISE, SUM)] * 4, AS_IT_IS))


def workers() -> set[int]:
    """Process ids of live workers: the children of the fork server."""
    children = [grandchild for child in psutil.Process().children() for grandchild in child.children()]
    return {process.pid for process in children if alive(process.pid)}


def until(holds: Callable[[], bool], otherwise: str) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail(otherwise)


def asked(verifier: Verifier, *requests: str) -> list[Verdict]:
    return verifier.verify([Answer(request, SUM) for request in requests], MISBEHAVING)


# -- answers -------------------------------------------------------------------------------------


def test_no_hostile_case_is_believed_or_ends_its_worker(verifier: Verifier) -> None:
    """Size limits are checked before evaluation, so memory and stack are never exhausted."""
    cases = cases_of("hostile")
    graded = list(zip(cases, verifier.verify([case.graded for case in cases], AS_IT_IS), strict=True))
    fail_with([describe(case, verdict) for case, verdict in graded if verdict.correct], len(cases))
    fail_with([describe(case, verdict) for case, verdict in graded if verdict.rule == "crash"], len(cases))


TOWER = "9^{" * 40 + "9" + "}" * 40
LONG = {
    "letters": "a" * MEGABYTE,
    "digits": "4" * MEGABYTE,
    "blanks": " " * MEGABYTE,
    "the gold at both ends": "42" + " " * MEGABYTE + "42",
    "lines": "41\n" * (MEGABYTE // 3),
    "brackets": "(" * (MEGABYTE // 2) + "42" + ")" * (MEGABYTE // 2),
    "braces": "{" * (MEGABYTE // 2) + "42" + "}" * (MEGABYTE // 2),
    "open braces": "{" * MEGABYTE,
    "fractions": r"\frac{1}{" * (MEGABYTE // 10) + "2" + "}" * (MEGABYTE // 10),
    "a list": ", ".join(["3", "5"] * (MEGABYTE // 6)),
    "NUL": "\0" * MEGABYTE,
    "lone surrogates": "\ud800" * MEGABYTE,
    "bidirectional": "\u202e42\u202c" * (MEGABYTE // 4),
    "look-alikes": "С" * MEGABYTE,
    "combining marks": "e" + "\u0301" * MEGABYTE,
    "zero width": "\u200b" * MEGABYTE,
    "backslashes": "\\" * MEGABYTE,
    "a tower": TOWER,
}
PIECES = "( { [ | - + ^ _ \\ $ , . ~ ' # % & * / = 1 9 a 1, 1. -1 x^ x_ (1) 1/ ! ∞ ½ ² ٤ 𝟎 é ° €".split()
PIECES += ["1e", "e9", "m/s", "a-", "twenty-", " ", "\t", "\n", "A ", "x ", "1 ", "or ", "the ", "not ", "minus ", ": "]
PIECES += ["one hundred ", "3 ft "]
PIECES += [r"\frac", r"\sqrt", r"\left(", r"\text{", r"\boxed{", r"\pm ", r"\cup ", r"\ ", r"\\", r"\$"]
NEAR_THE_LIMIT = 1990
"""Maximum characters; a longer answer is refused without a comparison."""


def repeated(length: int) -> list[str]:
    """Each piece repeated, alone and followed by a number."""
    return [piece * (length // len(piece)) + end for piece in PIECES for end in ("", "43")]


@pytest.mark.parametrize("grading", [AS_IT_IS, Grading("answer_tag"), Grading("boxed", "rlpr")], ids=str)
@pytest.mark.parametrize("text", list(LONG.values()), ids=list(LONG))
def test_long_texts_are_not_believed(text: str, grading: Grading, verifier: Verifier) -> None:
    response = {"none": "{}", "answer_tag": "<answer>{}</answer>", "boxed": r"\boxed{{{}}}"}[grading.extract].format(
        text
    )
    verdicts = verifier.verify(
        [Answer(response, GOLDS[kind]) for kind in (AnswerKind.MATH, AnswerKind.LETTER)], grading
    )
    assert VerdictKind.CORRECT not in {verdict.kind for verdict in verdicts}


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("kind", list(AnswerKind))
@pytest.mark.usefixtures("ended_if_it_hangs")
def test_what_is_decided_outside_the_sandbox_takes_no_time(kind: AnswerKind, rule: str) -> None:
    """This process has no deadline: a pattern that backtracks would stall the run."""
    for text in repeated(NEAR_THE_LIMIT):
        verdict = RULES[rule].quick(GOLDS[kind], text)
        assert verdict is None or not verdict.correct, text[:20]


def test_repetitions_are_not_believed_and_end_no_worker(verifier: Verifier) -> None:
    """Texts of a degenerate policy."""
    texts = repeated(200)
    verdicts = verifier.verify([Answer(text, GOLDS[AnswerKind.MATH]) for text in texts], AS_IT_IS)
    pairs = list(zip(texts, verdicts, strict=True))
    fail_with([f"{text[:20]!r}...{text[-3:]!r}: {v.kind} by {v.rule}" for text, v in pairs if v.correct], len(texts))
    fail_with([f"{text[:20]!r}...{text[-3:]!r}: {v.reason}" for text, v in pairs if v.rule == "crash"], len(texts))


def nested(depth: int) -> list[str]:
    return [
        "(" * depth + "6" + ")" * depth,
        "{" * depth + "6" + "}" * depth,
        "[" * depth + "6" + "]" * depth,
        "|" * depth + "6" + "|" * depth,
        r"\sqrt{" * depth + "4" + "}" * depth,
        r"\frac{1}{" * depth + "2" + "}" * depth,
        r"\left(" * depth + "6" + r"\right)" * depth,
        r"\sin(" * depth + "x" + ")" * depth,
        "x^{" * depth + "x" + "}" * depth,
        "2^{" * depth + "2" + "}" * depth,
        "x_{" * depth + "x" + "}" * depth,
        r"\text{" * depth + "6" + "}" * depth,
        r"\boxed{" * depth + "6" + "}" * depth,
        "-" * depth + "6",
        "3" + "!" * depth,
        r"\begin{pmatrix}" * depth + "6" + r"\end{pmatrix}" * depth,
        "f(" * depth + "x" + ")" * depth,
        r"\{" * depth + "6" + r"\}" * depth,
        "1+" * depth + "1",
        "x=" * depth + "1",
        r"\int_0^1" * depth + "x dx",
        r"\sum_{n=1}^{9}" * depth + "n",
        r"\lim_{x\to 0}" * depth + "x",
        r"\binom{9}{" * depth + "2" + "}" * depth,
        r"\log_{" * depth + "2" + "} 3" * depth,
    ]


@pytest.mark.parametrize("depth", [10, 100, 5000])
def test_deep_nesting_ends_no_worker(depth: int, verifier: Verifier) -> None:
    gold = Gold("5040", AnswerKind.MATH)
    texts = nested(depth)
    verdicts = verifier.verify([Answer(text, gold) for text in texts], AS_IT_IS)
    pairs = list(zip(texts, verdicts, strict=True))
    fail_with([f"{text[:20]!r}: {v.kind} by {v.rule}" for text, v in pairs if v.correct], len(texts))
    fail_with([f"{text[:20]!r}: {v.reason}" for text, v in pairs if v.rule == "crash"], len(texts))


UNSEEN = [
    "\0",
    "\ud800",
    "\udc00",
    "\u202e",
    "\u202c",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\x1b[31m",
    "\x08",
    "\x7f",
    "\x9b",
]


@pytest.mark.parametrize("kind", list(AnswerKind))
def test_what_is_not_seen_makes_no_other_answer_right(kind: AnswerKind, verifier: Verifier) -> None:
    other = {
        AnswerKind.MATH: r"\frac{1}{3}",
        AnswerKind.NUMBER: "24",
        AnswerKind.LETTER: "D",
        AnswerKind.TEXT: "west",
        AnswerKind.BOOL: "False",
        AnswerKind.LIST: "[3, 6]",
    }[kind]
    texts = [form for mark in UNSEEN for form in (mark, mark + other, other + mark, mark.join(other))]
    verdicts = verifier.verify([Answer(text, GOLDS[kind]) for text in texts], AS_IT_IS)
    believed = [f"{text!r}: {v.kind} by {v.rule}" for text, v in zip(texts, verdicts, strict=True) if v.correct]
    fail_with(believed, len(texts))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (Gold("C", AnswerKind.LETTER), "С"),  # Cyrillic
        (Gold("A", AnswerKind.LETTER, ("one", "two")), "Α"),  # Greek
        (Gold("x+1", AnswerKind.MATH), "х+1"),
        (Gold("7", AnswerKind.NUMBER), "٧"),  # a digit of another script
        (Gold("0", AnswerKind.NUMBER), "О"),
        (Gold("1", AnswerKind.NUMBER), "l"),
        (Gold("east", AnswerKind.TEXT), "eаst"),
        (Gold("True", AnswerKind.BOOL), "Тrue"),
    ],
)
def test_look_alikes_are_other_letters(gold: Gold, answer: str, verifier: Verifier) -> None:
    [verdict] = verifier.verify([Answer(answer, gold)], AS_IT_IS)
    assert verdict.kind is VerdictKind.WRONG


def test_code_is_not_run(verifier: Verifier, tmp_path: Path) -> None:
    left = tmp_path / "left"
    calls = [f"open('{left}', 'w')", f"__import__('pathlib').Path('{left}').touch()", f"exec(\"open('{left}', 'w')\")"]
    for gold in GOLDS.values():
        verdicts = verifier.verify([Answer(call, gold) for call in calls], AS_IT_IS)
        assert not any(verdict.correct for verdict in verdicts)
    assert not left.exists()


@pytest.mark.parametrize("rule", ["strict", "rlpr", "theoremqa"])
@pytest.mark.parametrize("extract", list(EXTRACTORS))
def test_a_gold_answer_that_cannot_be_used_is_an_error(extract: str, rule: str, verifier: Verifier) -> None:
    golds = [
        Gold("  "),
        Gold("4\x002"),
        Gold(r"\frac{1}{", AnswerKind.MATH),
        Gold("Z", AnswerKind.LETTER, ("a", "b")),
    ]
    golds += [Gold("perhaps", AnswerKind.BOOL), Gold("9" * 5000)]
    for gold in golds:
        response = rf"<answer>\boxed{{{gold.answer or 'B'}}}</answer>" if extract != "letter" else "The answer is B."
        for verdict in verifier.verify([Answer(response, gold)], Grading(extract, rule)):
            assert verdict.kind in (VerdictKind.ERROR, VerdictKind.NO_ANSWER), (gold, verdict)


# -- comparisons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hang", list(HANGS))
def test_a_comparison_that_hangs_is_a_timeout(hang: str, verifier: Verifier) -> None:
    before = workers()
    verdicts = asked(verifier, "x", hang, SUM_OTHERWISE)
    assert [v.kind for v in verdicts] == [VerdictKind.WRONG, VerdictKind.TIMEOUT, VerdictKind.CORRECT]
    assert (verdicts[1].rule, verdicts[1].extracted) == ("deadline", hang)
    assert "within 2 seconds" in verdicts[1].reason
    assert len(before & workers()) == 1


@pytest.mark.parametrize("crash", list(CRASHES))
def test_a_comparison_that_crashes_is_an_error(crash: str, verifier: Verifier) -> None:
    verdicts = asked(verifier, "x", crash, SUM_OTHERWISE)
    assert [v.kind for v in verdicts] == [VerdictKind.WRONG, VerdictKind.ERROR, VerdictKind.CORRECT]
    assert (verdicts[1].rule, verdicts[1].extracted) == ("crash", crash)
    assert verdicts[1].reason


@pytest.mark.parametrize("greed", ["one_big_list", "grow"])
def test_memory_past_the_limit_is_refused_and_harms_no_other(greed: str, verifier: Verifier) -> None:
    before = workers()
    verdicts = asked(verifier, greed, *["x", SUM_OTHERWISE] * 10)
    assert "needed more than 256 MiB" in verdicts[0].reason
    assert [v.kind for v in verdicts[1:]] == [VerdictKind.WRONG, VerdictKind.CORRECT] * 10
    assert workers() == before


def test_order_is_kept_among_faults(verifier: Verifier) -> None:
    faults = ["spin", "grow", "abort", "leave", "overrun", "spin", "recurse", "abort"]
    texts = [text for number, fault in enumerate(faults) for text in (f"x+{number}", fault, SUM_OTHERWISE)]
    verdicts = asked(verifier, *texts)
    assert [v.extracted for v in verdicts] == texts
    for number, fault in enumerate(faults):
        wrong, failed, right = verdicts[3 * number : 3 * number + 3]
        assert wrong.kind is VerdictKind.WRONG and right.kind is VerdictKind.CORRECT
        assert failed.kind is (VerdictKind.TIMEOUT if fault in HANGS else VerdictKind.ERROR)


def test_a_hang_in_every_worker_delays_the_others_until_the_deadline(verifier: Verifier) -> None:
    verdicts = asked(verifier, *[f"spin {number}" for number in range(WORKERS + 1)], SUM_OTHERWISE)
    assert [v.kind for v in verdicts] == [VerdictKind.TIMEOUT] * (WORKERS + 1) + [VerdictKind.CORRECT]


def test_equal_pairs_are_compared_once(verifier: Verifier, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    verdicts = asked(verifier, *[f"note {notes}", "x"] * 20)
    assert len(verdicts) == 40
    assert notes.read_text() == "compared\n"


def test_a_worker_that_is_killed_at_work_is_replaced_and_the_batch_goes_on(tmp_path: Path) -> None:
    """The worker is killed from outside, as by the OOM killer."""
    patient = SandboxConfig(workers=2, deadline_seconds=300)
    pid_file = tmp_path / "pid"
    with Verifier(RewardConfig(sandbox=patient)) as verifier:
        verdicts: list[Verdict] = []
        texts = ["x", f"wait {pid_file}", *[f"x+{n}" for n in range(50)], SUM_OTHERWISE]
        grading = threading.Thread(target=lambda: verdicts.extend(asked(verifier, *texts)), daemon=True)
        grading.start()
        until(pid_file.exists, "the comparison did not start")
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        grading.join(120)
        assert not grading.is_alive(), "the batch hangs after its worker was killed"
        assert [v.extracted for v in verdicts] == texts
        assert verdicts[1].kind is VerdictKind.ERROR and "status -9" in verdicts[1].reason
        assert [v.kind for v in verdicts[2:-1]] == [VerdictKind.WRONG] * 50
        assert verdicts[-1].kind is VerdictKind.CORRECT


@pytest.mark.parametrize("how_many", [1, 2])
def test_workers_that_are_killed_at_rest_are_replaced(how_many: int) -> None:
    others = workers()
    with Verifier(RewardConfig(sandbox=SHORT)) as verifier:
        until(lambda: still_grades(verifier), "the pool does not grade")
        before = workers() - others
        assert len(before) == WORKERS
        for pid in sorted(before)[:how_many]:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(workers() & before) == WORKERS - how_many, "a killed worker lives")
        time.sleep(0.5)  # long enough for the pool to have seen it
        verdicts = asked(verifier, "x", SUM_OTHERWISE, "x+1")
        assert [v.kind for v in verdicts] == [VerdictKind.WRONG, VerdictKind.CORRECT, VerdictKind.WRONG]
        until(lambda: len(workers() - others) == WORKERS, "the pool is not back at full strength")


def test_a_closed_verifier_leaves_no_process() -> None:
    before = workers()
    with Verifier(RewardConfig(sandbox=SHORT)) as another:
        asked(another, "x", "spin")
        until(lambda: len(workers()) == 2 * WORKERS, "the other pool is not at full strength")
    until(lambda: workers() == before, "workers are left behind")
