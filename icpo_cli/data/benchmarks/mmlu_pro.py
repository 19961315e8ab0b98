"""MMLU-Pro: multiple choice of 3 to 10 options in 14 subjects, a sample of 1,000."""

import random

from icpo_cli.data.benchmarks.benchmark import (
    Benchmark,
    BenchmarkSource,
    HubDataset,
    ask_letter,
    choice_question,
    own_choices,
    rlpr_letter,
    rlpr_source,
)
from icpo_cli.data.sources import RawRow
from icpo_cli.records import Question

GOLDS = "99c63e66a6bd5a6c15d6febb686f437962dbbdbcb052d180e4185f6642152b95"
"""Hash of our sample."""
SAMPLE_SEED = 20250623
"""Seed of our sample. The seed of RLPR's sample is not known."""


def _original(row: RawRow) -> Question:
    name = f"mmlu_pro/{row.text('question_id')}"
    return choice_question(row, name, row.text("question"), row.texts("options", 2))


def _draw(questions: list[Question]) -> list[Question]:
    """1,000 of the 12,032, by question number."""
    ordered = sorted(questions, key=_number)
    return sorted(random.Random(SAMPLE_SEED).sample(ordered, 1000), key=_number)


def _number(question: Question) -> int:
    return int(question.id.removeprefix("mmlu_pro/"))


MMLU_PRO = Benchmark(
    name="mmlu_pro",
    title="MMLU-Pro",
    group="general",
    version="1",
    count=1000,
    k=2,
    kinds=("letter",),
    sources=(
        BenchmarkSource("mmlu_pro_sample1000", own_choices, golds_sha256=GOLDS),
        BenchmarkSource("mmlu_pro", own_choices),
        rlpr_source("mmlu_pro", "MMLUPro-1000_Avg2", rlpr_letter),
        BenchmarkSource(
            "MMLU-Pro",
            _original,
            HubDataset("TIGER-Lab/MMLU-Pro", split="test", revision="3373e0b32277875b8db2aa555a333b78a08477ea"),
            rows=12032,
            draw=_draw,
        ),
    ),
    licence="MIT",
    about="1,000 of 12,032 multiple-choice questions in 14 subjects",
    pitfalls=(
        "3 to 10 options: a letter beyond a question's own options is no answer.",
        "Our sample is not RLPR's 1,000, whose seed is unknown; a result names the file it was measured on.",
        "Golds or options of about 42 questions changed upstream in 2024: the revision is pinned.",
        "Official graders guess a letter where none is found, worth about 10 % of the unparsed share; icpo does not.",
        "In question 3983 the answer's letter and index disagree upstream: the letter counts.",
    ),
    own_form=ask_letter,
)
