"""GPQA diamond: graduate questions of biology, physics and chemistry with four options."""

import hashlib

from icpo_cli.data.benchmarks.benchmark import Benchmark, Entry, Hub, Row, Source
from icpo_cli.data.benchmarks.layouts import LETTERS, ask_letter, letter_gold, lettered, rlpr_letter, rlpr_source
from icpo_cli.records import AnswerKind, Gold, Question
from icpo_cli.rng import stable_hash


def _own(row: Row) -> Entry:
    options = row.texts("choices")
    right = LETTERS.index(letter_gold(row, row.text("answer"), options).answer)
    return permuted(row.text("id"), row.text("question"), options, right)


def _original(row: Row) -> Entry:
    columns = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    text = row.text("Question")
    record = row.text("Record ID") if row.has("Record ID") else hashlib.sha256(text.encode()).hexdigest()[:12]
    return permuted(f"gpqa/{record}", text, tuple(row.text(column) for column in columns), right=0)


def permuted(name: str, question: str, options: tuple[str, ...], right: int) -> Entry:
    """The options in an order that the question's id alone decides, so that every model is asked the same.

    `right`: place of the right one. An option that reads like it is right too, as an alias.
    """
    order = tuple(sorted(range(len(options)), key=lambda place: stable_hash("gpqa", name, place)))
    shown = tuple(options[place].strip() for place in order)
    letter = LETTERS[order.index(right)]
    same = [LETTERS[i] for i, option in enumerate(shown) if option == options[right].strip()]
    gold = Gold(letter, AnswerKind.LETTER, shown, aliases=tuple(other for other in same if other != letter))
    return Entry(Question(name, lettered(question, shown), gold), order)


GPQA = Benchmark(
    name="gpqa",
    title="GPQA",
    group="general",
    version="1",
    count=198,
    k=4,
    kinds=("letter",),
    sources=(
        Source("gpqa", _own),
        rlpr_source("gpqa", "gpqa_diamond_Avg4", rlpr_letter),
        Source(
            "gpqa_diamond",
            _original,
            Hub("Idavidrein/gpqa", split="train", config="gpqa_diamond", gated=True),
        ),
    ),
    licence="CC BY 4.0, gated",
    about="198 graduate questions of biology, physics and chemistry, written to resist a web search",
    pitfalls=(
        "Gated: accept its terms on the hub first. Its authors ask that no question is shown in plain text.",
        "The data has no letters: options are put in an order that a hash of the record's id gives, and it is stored.",
        "RLPR's file has one fixed order of its own, which is kept: numbers of the two forms are not of one prompt.",
        "Other code shuffles without a seed, so that published numbers differ by option order alone.",
    ),
    own_form=ask_letter,
    confidential=True,
)
