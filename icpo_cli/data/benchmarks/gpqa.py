"""GPQA diamond: graduate questions of biology, physics and chemistry with four options."""

import hashlib

from icpo_cli.data.benchmarks.benchmark import (
    LETTERS,
    Benchmark,
    BenchmarkSource,
    HubDataset,
    ask_letter,
    letter_gold,
    lettered,
    rlpr_letter,
    rlpr_source,
)
from icpo_cli.data.sources import RawRow
from icpo_cli.records import AnswerKind, Gold, Question
from icpo_cli.rng import stable_hash


def _own(row: RawRow) -> Question:
    options = row.texts("choices", 2)
    right = LETTERS.index(letter_gold(row, row.text("answer"), options).answer)
    return permuted(row.text("id"), row.text("question"), options, right)


def _original(row: RawRow) -> Question:
    columns = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    text = row.text("Question")
    record = row.text("Record ID") if row.has("Record ID") else hashlib.sha256(text.encode()).hexdigest()[:12]
    return permuted(f"gpqa/{record}", text, tuple(row.text(column) for column in columns), right=0)


def permuted(name: str, question: str, options: tuple[str, ...], right: int) -> Question:
    """A question with its options in an order that depends on the question's id alone.

    The data has no order. This one sorts by a hash of the id and each option's index in the data, so it is the same
    in every run and for every model. `right`: index of the correct option. An option with the same text is correct too.
    """
    order = sorted(range(len(options)), key=lambda index: stable_hash("gpqa", name, index))
    shown = tuple(options[index].strip() for index in order)
    letter = LETTERS[order.index(right)]
    same = [LETTERS[i] for i, option in enumerate(shown) if option == options[right].strip()]
    gold = Gold(letter, AnswerKind.LETTER, shown, aliases=tuple(other for other in same if other != letter))
    return Question(name, lettered(question, shown), gold)


GPQA = Benchmark(
    name="gpqa",
    title="GPQA",
    group="general",
    version="1",
    count=198,
    k=4,
    kinds=("letter",),
    sources=(
        BenchmarkSource("gpqa", _own),
        rlpr_source("gpqa", "gpqa_diamond_Avg4", rlpr_letter),
        BenchmarkSource(
            "gpqa_diamond",
            _original,
            HubDataset("Idavidrein/gpqa", split="train", config="gpqa_diamond", gated=True),
        ),
    ),
    licence="CC BY 4.0, gated",
    about="198 graduate questions of biology, physics and chemistry, written to resist a web search",
    pitfalls=(
        "Gated: accept its terms on the hub first. Its authors ask that no question is shown in plain text.",
        "The data has no letters: options are ordered by a hash of the record's id and their index.",
        "RLPR's file has a fixed order of its own, which is kept: results of the two forms are for different prompts.",
        "Other code shuffles without a seed, so published numbers differ by option order alone.",
    ),
    own_form=ask_letter,
    confidential=True,
)
