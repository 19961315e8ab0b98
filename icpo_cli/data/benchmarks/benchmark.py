"""The definition of a benchmark and of its sources, and readers of rows that several benchmarks share.

The readers are for icpo's own layout, RLPR's evaluation files, and multiple choice in both.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from icpo_cli.data.sources import RawRow
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Question

LETTERS = string.ascii_uppercase
RLPR = "openbmb/RLPR-Evaluation"
RLPR_REVISION = "cd6b36bbecba006a8d25fedf634567ea37f9a512"
OPTION = re.compile(r"^[ \t]*\(?([A-P])[.):]\)?[ \t]+", re.MULTILINE)

ToGold = Callable[[RawRow, str, str], Gold]
"""Makes a Gold from the row, the question's text and the answer's text."""


@dataclass(frozen=True)
class HubDataset:
    """The address of a data set on the Hugging Face hub."""

    id: str
    split: str
    revision: str | None = None
    """None: the hub's default, where no revision is known to have been used for published numbers."""
    config: str | None = None
    file: str | None = None
    """The only file to load; None: all."""
    gated: bool = False


@dataclass(frozen=True)
class BenchmarkSource:
    """One form of a benchmark's data: its file name, its location on the hub, and how its rows are read."""

    stem: str
    """The file's name in the data folder, without .jsonl, .parquet or .csv."""
    read: Callable[[RawRow], Question | None]
    """None for a row that is not part of the benchmark."""
    hub: HubDataset | None = None
    rows: int | None = None
    """Rows in the file. None: the benchmark's question count."""
    draw: Callable[[list[Question]], list[Question]] | None = None
    """Draws the benchmark's sample from all questions of the file. None: all of them."""
    golds_sha256: str | None = None
    """Hash over id, options and gold of each question; None where the data was not available to compute it."""


@dataclass(frozen=True)
class Benchmark:
    """A set of questions with gold answers, how they are graded, and their known problems."""

    name: str
    title: str
    """The name in the paper's tables."""
    group: Literal["general", "math"]
    version: str
    """Raised whenever a question's text, a gold or the benchmark's own prompt changes."""
    count: int
    k: int
    """Responses per question, for the paper's Avg@k."""
    kinds: tuple[str, ...]
    """The answer kinds that occur."""
    sources: tuple[BenchmarkSource, ...]
    """In order of preference."""
    licence: str
    about: str
    pitfalls: tuple[str, ...]
    own_form: Callable[[Question], str]
    """The benchmark's usual zero-shot prompt, which says in what form to answer."""
    extract: str = "auto"
    rule: str = "strict"
    confidential: bool = False
    """Its authors ask that questions are not shown in plain text: no report, log or table may show them."""

    @property
    def golds_sha256(self) -> str | None:
        """The hash for the preferred source."""
        return self.sources[0].golds_sha256


def own_layout(to_gold: ToGold) -> Callable[[RawRow], Question]:
    """A reader of rows with the columns id, question, answer."""

    def read(row: RawRow) -> Question:
        text = row.text("question")
        return Question(row.text("id"), text, to_gold(row, text, row.text("answer")))

    return read


def own_choices(row: RawRow) -> Question:
    """Read a row with the columns id, question, choices, answer (a letter)."""
    return choice_question(row, row.text("id"), row.text("question"), row.texts("choices", 2))


def rlpr_source(name: str, stem: str, to_gold: ToGold) -> BenchmarkSource:
    """A file of RLPR's evaluation data, which the paper uses: columns prompt (a chat) and reward_model.ground_truth."""

    def read(row: RawRow) -> Question:
        number = row.text("uid") if row.has("uid") else str(row.number)
        text = _user_message(row)
        gold = to_gold(row, text, row.text("reward_model.ground_truth"))
        return Question(f"{name}/rlpr/{number}", text, gold)

    return BenchmarkSource(stem, read, HubDataset(RLPR, split="train", revision=RLPR_REVISION, file=f"{stem}.parquet"))


def choice_question(row: RawRow, name: str, question: str, options: tuple[str, ...]) -> Question:
    """A question with its lettered options appended; the answer column contains the letter."""
    return Question(name, lettered(question, options), letter_gold(row, row.text("answer"), options))


def lettered(question: str, options: tuple[str, ...]) -> str:
    lines = [f"{letter}. {option.strip()}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([f"Question:\n{question.strip()}", "Options:", *lines])


def letter_gold(row: RawRow, answer: str, options: tuple[str, ...]) -> Gold:
    """Raises UserError on a letter beyond the options."""
    letter = answer.strip().strip("().").upper()
    last = LETTERS[len(options) - 1] if options else "P"
    if len(letter) != 1 or not "A" <= letter <= last:
        raise UserError(f"{row.place}: the answer must be a letter from A to {last}")
    return Gold(letter, AnswerKind.LETTER, options)


def rlpr_letter(row: RawRow, text: str, answer: str) -> Gold:
    """Gold of a multiple-choice row of RLPR, whose text contains the options; their order is kept."""
    return letter_gold(row, answer, options_in(text))


def math_gold(row: RawRow, text: str, answer: str) -> Gold:
    return Gold(answer, AnswerKind.MATH)


def options_in(text: str) -> tuple[str, ...]:
    """The options of a lettered list at the end of a text; empty where no list starts at A."""
    marks = list(OPTION.finditer(text))
    starts = [index for index, mark in enumerate(marks) if mark[1] == "A"]
    marks = marks[starts[-1] :] if starts else []
    pairs = takewhile(lambda pair: pair[0] == pair[1][1], zip(LETTERS, marks, strict=False))
    run = [mark for _, mark in pairs]
    if len(run) < 2:
        return ()
    ends = [mark.start() for mark in run[1:]] + [len(text)]
    options = [text[mark.end() : end].strip() for mark, end in zip(run, ends, strict=True)]
    return (*options[:-1], options[-1].split("\n\n")[0])


def _user_message(row: RawRow) -> str:
    chat = row.value("prompt")
    turns = [turn for turn in chat if isinstance(turn, dict) and turn.get("role") == "user"] if chat else []
    if not turns or not isinstance(turns[-1].get("content"), str):
        raise UserError(f"{row.place}: column 'prompt' has no user's message")
    return str(turns[-1]["content"])


def ask_boxed(question: Question) -> str:
    return f"{question.text}\n\nReason step by step. End with the final answer in \\boxed{{}}."


def ask_letter(question: Question) -> str:
    return (
        f"{question.text}\n\nReason step by step. End with the letter of the right option, and nothing else, "
        "in \\boxed{}."
    )
