"""WebInstruct-verified: held-out university questions from the web, in the 638 that RLPR kept."""

from icpo_cli.data.benchmarks.benchmark import Benchmark, BenchmarkSource, RawRow
from icpo_cli.data.benchmarks.layouts import ask_boxed, letter_gold, options_in, own_layout, rlpr_source
from icpo_cli.records import Gold


def _gold(row: RawRow, text: str, answer: str) -> Gold:
    """A letter where the question lists options and the answer is one of theirs; else read off its own form."""
    options = options_in(text)
    letter = answer.strip().strip("().")
    if options and len(letter) == 1 and letter.isalpha():
        return letter_gold(row, letter, options)
    return Gold(answer.strip())


WEBINSTRUCT = Benchmark(
    name="webinstruct",
    title="WebInstruct",
    group="general",
    version="1",
    count=638,
    k=2,
    kinds=("letter", "number", "text", "math"),
    sources=(
        BenchmarkSource("webinstruct", own_layout(_gold)),
        rlpr_source("webinstruct", "WebInstruct-verified-val_Avg2", _gold),
    ),
    licence="Apache-2.0 (TIGER-Lab/WebInstruct-verified); RLPR's selection CC BY-NC 4.0",
    about="638 of 1,000 held-out questions, those left after RLPR's 10-gram deduplication",
    pitfalls=(
        "Which 638 of TIGER-Lab/WebInstruct-verified's 1,000 test questions these are is known from RLPR's file alone.",
        "RLPR's code grades the file as four-option multiple choice; golds of other kinds are graded as what they are.",
        "The training data is of the same origin: run `icpo data check` for shared 10-grams.",
        "Free-form texts want a judge: reward.judge.mode=after_rule.",
    ),
    own_form=ask_boxed,
)
