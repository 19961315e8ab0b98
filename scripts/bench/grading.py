"""Time to grade one iteration of the paper's size, 768 questions x 5 responses, by part.

Each figure is the minimum of several repetitions, each with new workers. CPU seconds are also valid on a busy machine.
Warm workers have graded the answers of as many other questions, as in a run's second iteration; cold is the first.
"""

import argparse
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from icpo_cli.config.schema import RewardConfig, SandboxConfig
from icpo_cli.grading.extraction import EXTRACTORS
from icpo_cli.grading.rules import strict
from icpo_cli.grading.sandbox import Sandbox
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import UNDECIDED, AnswerKind, Gold, Verdict

QUESTIONS, GROUP = 768, 5
TARGET_SECONDS = 5.0
BENCHMARKS = ("math500", "minerva", "theoremqa", "aime24", "mmlu_pro")
RESPONSE_KINDS = {"same text": 2, "other notation": 3, "near miss": 2, "another's answer": 2, "no tags": 1}
"""{how a synthetic response is made from the gold answer: its frequency in ten}."""
REASONING = (
    "First we write down what is given and what is asked. Let $x$ be the unknown, so that $f(x) = \\frac{x}{2} + 1$. "
    "Substituting the values from the problem, the second term cancels and 3 of the 12 cases are left. "
) * 8
"""About 200 words."""


class Seconds(NamedTuple):
    wall: float
    cpu: float


@dataclass(frozen=True)
class Made:
    """A synthetic response and how it was made."""

    how: str
    answer: Answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the grading of 3,840 responses.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="benchmarks' data; without it the gold answers are synthetic"
    )
    parser.add_argument(
        "--only", default=",".join(BENCHMARKS), help="comma-separated benchmarks to draw questions from"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    golds = synthetic_golds(2500) if options.folder is None else from_folder(options.folder, options.only.split(","))
    rng = random.Random(options.seed)
    drawn = rng.sample(golds, min(2 * QUESTIONS, len(golds)))
    work = responses(drawn[:QUESTIONS], golds, rng)
    warm_up = [made.answer for made in responses(drawn[QUESTIONS:], golds, rng)]
    runs = [measure(work, warm_up) for _ in range(options.repeats)]
    seconds = fastest([spent for spent, _ in runs])
    facts = count(work, runs[-1][1])
    if options.json:
        print(json.dumps({"seconds": {part: spent._asdict() for part, spent in seconds.items()}, **facts}))
    else:
        report(seconds, facts, options.repeats)


def from_folder(folder: Path, names: Sequence[str]) -> list[Gold]:
    from icpo_cli.data.benchmarks import load_benchmark

    return [question.gold for name in names for question in load_benchmark(name, folder).questions]


def synthetic_golds(count: int) -> list[Gold]:
    """Numbers, expressions, letters, lists and booleans, in about the benchmarks' proportions."""
    rng = random.Random(1)
    options = tuple(f"the effect of number {n}" for n in range(10))
    makers: list[Callable[[], Gold]] = [
        lambda: Gold(str(rng.randint(-50, 3000)), AnswerKind.NUMBER),
        lambda: Gold(f"{rng.uniform(0, 100):.3g}", AnswerKind.NUMBER),
        lambda: Gold(f"{rng.uniform(1, 10):.2f}e{rng.randint(-20, 20)}", AnswerKind.MATH),
        lambda: Gold(rf"\frac{{{rng.randint(1, 60)}}}{{{rng.randint(2, 60)}}}", AnswerKind.MATH),
        lambda: Gold(rf"{rng.randint(2, 9)}\sqrt{{{rng.randint(2, 30)}}}", AnswerKind.MATH),
        lambda: Gold(
            rf"\frac{{x^{rng.randint(2, 5)}}}{{{rng.randint(2, 9)}}} + {rng.randint(1, 9)} x", AnswerKind.MATH
        ),
        lambda: Gold(rf"\left({rng.randint(0, 9)}, \frac{{\pi}}{{{rng.randint(2, 9)}}}\right)", AnswerKind.MATH),
        lambda: Gold(str([rng.randint(0, 9) for _ in range(3)]), AnswerKind.LIST),
        lambda: Gold(rng.choice(["True", "False"]), AnswerKind.BOOL),
        *[lambda: Gold(rng.choice("ABCDEFGHIJ"), AnswerKind.LETTER, options)] * 4,
    ]
    return [rng.choice(makers)() for _ in range(count)]


def responses(golds: Sequence[Gold], others: Sequence[Gold], rng: random.Random) -> list[Made]:
    return [made(gold, others, rng) for gold in golds for _ in range(GROUP)]


def made(gold: Gold, others: Sequence[Gold], rng: random.Random) -> Made:
    [how] = rng.choices(list(RESPONSE_KINDS), list(RESPONSE_KINDS.values()))
    text = {
        "same text": lambda: gold.answer,
        "other notation": lambda: other_notation(gold, rng),
        "near miss": lambda: near_miss(gold, rng),
        "another's answer": lambda: rng.choice(others).answer,
        "no tags": lambda: gold.answer,
    }[how]()
    answer = f"So it is {text}." if how == "no tags" else f"<answer> {text} </answer>"
    return Made(how, Answer(f"<think> {REASONING} </think> {answer}", gold))


def other_notation(gold: Gold, rng: random.Random) -> str:
    """The same answer in another notation."""
    text = gold.answer
    if gold.kind is AnswerKind.LETTER:
        letter = text.strip("()")
        options = [f"({letter})", f"Option {letter}", rf"\text{{{letter}}}", rf"\boxed{{{letter}}}"]
        if gold.choices:
            options += [f"{letter}. {gold.choices[ord(letter.upper()) - ord('A')]}"] * 2
        return rng.choice(options)
    if gold.kind is AnswerKind.BOOL:
        return rng.choice([text.lower(), {"true": "yes", "false": "no"}.get(text.lower(), text), f"{text}."])
    spelled = [f"${text}$", rf"\boxed{{{text}}}"]
    if gold.kind is AnswerKind.LIST:
        spelled += [text.replace(", ", ","), f"({text[1:-1]})", rf"\{{{text[1:-1]}\}}"]
    if re.fullmatch(r"-?\d+", text):
        spelled += [
            f"{int(text):,}",
            f"{text}.0",
            rf"\frac{{{2 * int(text)}}}{{2}}",
            f"x = {text}",
            rf"{text} \text{{ m}}",
        ]
    elif scientific := re.fullmatch(r"(-?[\d.]+)e([-+]?\d+)", text):
        spelled += [rf"{scientific[1]} \times 10^{{{int(scientific[2])}}}"] * 3
    elif re.fullmatch(r"-?\d*\.\d+", text):
        digits = len(text.split(".")[1])
        spelled += [f"{text}0", rf"\approx {text}", rf"\frac{{{round(float(text) * 10**digits)}}}{{{10**digits}}}"]
    else:
        plain = re.sub(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}", r"(\1)/(\2)", text)
        plain = re.sub(r"\\sqrt\{([^{}]+)\}", r"sqrt(\1)", plain).replace(r"\left", "").replace(r"\right", "")
        spelled += [plain, plain.replace(r"\pi", "pi"), text.replace(r"\frac", r"\dfrac"), f"y = {text}"]
    return rng.choice(spelled)


def near_miss(gold: Gold, rng: random.Random) -> str:
    """A different answer that looks similar."""
    text = gold.answer
    if gold.kind is AnswerKind.LETTER:
        return rng.choice([letter for letter in "ABCD" if letter.lower() != text.strip("()").lower()])
    if gold.kind is AnswerKind.BOOL:
        return "False" if text.lower() == "true" else "True"
    digits = [index for index, char in enumerate(text) if char.isdigit()]
    if not digits:
        return f"2 {text}"
    at = rng.choice(digits)
    return f"{text[:at]}{(int(text[at]) + rng.randint(1, 9)) % 10}{text[at + 1 :]}"


def measure(work: Sequence[Made], warm_up: Sequence[Answer]) -> tuple[dict[str, Seconds], list[Verdict]]:
    """Seconds of each part and of the whole, and the verdicts."""
    answers = [made.answer for made in work]
    spent: dict[str, Seconds] = {}

    def timed(part: str, function: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = function()
        spent[part] = Seconds(time.perf_counter() - wall, cpu_seconds() - cpu)
        return result

    texts = timed("extraction", lambda: [bare(answer) for answer in answers])
    pairs = [(answer.gold, text) for answer, text in zip(answers, texts, strict=True) if text is not None]
    distinct = list(dict.fromkeys(pairs))
    quick = timed("quick rules", lambda: [strict.quick(*pair) for pair in distinct])
    left = [pair for pair, verdict in zip(distinct, quick, strict=True) if verdict is None]
    sandbox = Sandbox(SandboxConfig())
    first = [(Gold("1", AnswerKind.MATH), "2-1")] * cores()
    timed("sandbox start", lambda: sandbox.compare(strict.thorough, first))
    sandbox.compare(strict.thorough, [(answer.gold, text) for answer in warm_up if (text := bare(answer))])
    timed("sandbox comparisons", lambda: sandbox.compare(strict.thorough, left))
    sandbox.close()
    with Verifier(RewardConfig()) as verifier:
        verifier.verify(warm_up, Grading())
        verdicts = timed("whole, warm", lambda: verifier.verify(answers, Grading()))
    with Verifier(RewardConfig()) as verifier:
        timed("whole, cold", lambda: verifier.verify(answers, Grading()))
    return spent, verdicts


def fastest(runs: Sequence[dict[str, Seconds]]) -> dict[str, Seconds]:
    """Minimum over repetitions of each part, separately for wall and CPU seconds."""
    return {part: Seconds(min(run[part].wall for run in runs), min(run[part].cpu for run in runs)) for part in runs[0]}


def cpu_seconds() -> float:
    """CPU seconds of this process and its workers so far."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    workers: float = sum(spent.user + spent.system for spent in times)
    return time.process_time() + workers


def bare(answer: Answer) -> str | None:
    return EXTRACTORS["answer_tag"](answer.response)


def cores() -> int:
    return len(os.sched_getaffinity(0))


def count(work: Sequence[Made], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    pairs = {(made.answer.gold, text) for made in work if (text := bare(made.answer)) is not None}
    return {
        "responses": len(work),
        "cores": cores(),
        "distinct_pairs": len(pairs),
        "in_the_sandbox": sum(strict.quick(*pair) is None for pair in pairs),
        "verdicts": {
            how: dict(Counter(v.kind.value for m, v in zip(work, verdicts, strict=True) if m.how == how))
            for how in RESPONSE_KINDS
        },
        "rules": dict(Counter(verdict.rule for verdict in verdicts).most_common()),
    }


def report(seconds: dict[str, Seconds], facts: dict[str, Any], repeats: int) -> None:
    whole = seconds["whole, warm"]
    print(f"{facts['responses']:,} responses on {facts['cores']} cores, minimum of {repeats} repetitions, seconds")
    print(f"  {'':<22} {'wall':>7}  {'CPU':>9}  share")
    for part in ("extraction", "quick rules", "sandbox comparisons"):
        spent = seconds[part]
        print(f"  {part:<22} {spent.wall:7.2f}  {spent.cpu:9.2f}  {spent.cpu / whole.cpu:.0%}")
    print(f"  {'judge':<22} {'off':>7}")
    met = "met" if whole.wall <= TARGET_SECONDS else "missed"
    cold, start = seconds["whole, cold"], seconds["sandbox start"]
    print(f"  {'whole, workers warm':<22} {whole.wall:7.2f}  {whole.cpu:9.2f}  target {TARGET_SECONDS:g}: {met}")
    print(f"  {'whole, cold':<22} {cold.wall:7.2f}  {cold.cpu:9.2f}  of which starting the workers {start.wall:.2f}")
    print(f"distinct pairs {facts['distinct_pairs']:,}, of these compared in the sandbox {facts['in_the_sandbox']:,}")
    undecided = {kind: sum(verdicts.get(kind, 0) for verdicts in facts["verdicts"].values()) for kind in UNDECIDED}
    print(f"undecided: {', '.join(f'{kind} {number}' for kind, number in sorted(undecided.items()))}")
    for how, verdicts in facts["verdicts"].items():
        print(f"  {how:<22} {', '.join(f'{kind} {number:,}' for kind, number in sorted(verdicts.items()))}")


if __name__ == "__main__":
    main()
