"""WebInstruct-verified: 638 held-out university questions from the web, as selected by RLPR."""

from icpo_cli.data.benchmarks.benchmark import (
    Benchmark,
    BenchmarkSource,
    ask_boxed,
    letter_gold,
    options_in,
    own_layout,
    rlpr_source,
)
from icpo_cli.data.sources import RawRow
from icpo_cli.records import Gold


def _gold(row: RawRow, text: str, answer: str) -> Gold:
    """A letter if the question lists options and the answer is a letter; else the kind is inferred."""
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
    about="638 of 1,000 held-out questions, after RLPR's 10-gram deduplication",
    pitfalls=(
        "The selection of 638 from TIGER-Lab/WebInstruct-verified's 1,000 test questions exists only in RLPR's file.",
        "RLPR's code grades the file as four-option multiple choice; icpo grades each gold by its own kind.",
        "The training data has the same origin: run `icpo data check` for shared 10-grams.",
        "Free-form texts need a judge: reward.judge.mode=after_rule.",
    ),
    own_form=ask_boxed,
)
