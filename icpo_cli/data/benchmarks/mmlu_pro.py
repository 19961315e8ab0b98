"""MMLU-Pro: multiple choice of 3 to 10 options in 14 subjects, a sample of 1,000."""

import random

from icpo_cli.data.benchmarks.benchmark import Benchmark, Entry, Hub, Row, Source
from icpo_cli.data.benchmarks.layouts import ask_letter, choice_question, own_choices, rlpr_letter, rlpr_source

GOLDS = "99c63e66a6bd5a6c15d6febb686f437962dbbdbcb052d180e4185f6642152b95"
"""Of our sample."""
SAMPLE_SEED = 20250623
"""Of our own draw. The seed of RLPR's is not known."""


def _original(row: Row) -> Entry:
    name = f"mmlu_pro/{row.text('question_id')}"
    return Entry(choice_question(row, name, row.text("question"), row.texts("options")))


def _draw(entries: list[Entry]) -> list[Entry]:
    """1,000 of the 12,032, by question number."""
    ordered = sorted(entries, key=_number)
    return sorted(random.Random(SAMPLE_SEED).sample(ordered, 1000), key=_number)


def _number(entry: Entry) -> int:
    return int(entry.question.id.removeprefix("mmlu_pro/"))


MMLU_PRO = Benchmark(
    name="mmlu_pro",
    title="MMLU-Pro",
    group="general",
    version="1",
    count=1000,
    k=2,
    kinds=("letter",),
    sources=(
        Source("mmlu_pro_sample1000", own_choices, golds_sha256=GOLDS),
        Source("mmlu_pro", own_choices),
        rlpr_source("mmlu_pro", "MMLUPro-1000_Avg2", rlpr_letter),
        Source(
            "MMLU-Pro",
            _original,
            Hub("TIGER-Lab/MMLU-Pro", split="test", revision="3373e0b32277875b8db2aa555a333b78a08477ea"),
            rows=12032,
            draw=_draw,
        ),
    ),
    licence="MIT",
    about="1,000 of 12,032 multiple-choice questions in 14 subjects",
    pitfalls=(
        "3 to 10 options: a letter beyond a question's own options is no answer.",
        "Our sample is not RLPR's 1,000, whose seed is unknown; a result says which file it is of.",
        "Golds or options of about 42 questions changed upstream in 2024: the revision is pinned.",
        "Official graders guess a letter where none is found, worth about a tenth of the unparsed share; none is here.",
        "In question 3983 the answer's letter and index disagree upstream: the letter counts.",
    ),
    own_form=ask_letter,
)
