"""Readers from rows to questions: icpo's own layout, RLPR's evaluation files, and multiple choice in both."""

import re
import string
from collections.abc import Callable
from itertools import takewhile

from icpo_cli.data.benchmarks.benchmark import BenchmarkSource, HubDataset, RawRow
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Question

LETTERS = string.ascii_uppercase
RLPR = "openbmb/RLPR-Evaluation"
RLPR_REVISION = "cd6b36bbecba006a8d25fedf634567ea37f9a512"
OPTION = re.compile(r"^[ \t]*\(?([A-P])[.):]\)?[ \t]+", re.MULTILINE)

ToGold = Callable[[RawRow, str, str], Gold]
"""Makes a Gold from the row, the question's text and the answer's text."""


def own_layout(to_gold: ToGold) -> Callable[[RawRow], Question]:
    """A reader of rows with the columns id, question, answer."""

    def read(row: RawRow) -> Question:
        text = row.text("question")
        return Question(row.text("id"), text, to_gold(row, text, row.text("answer")))

    return read


def own_choices(row: RawRow) -> Question:
    """Read a row with the columns id, question, choices, answer (a letter)."""
    return choice_question(row, row.text("id"), row.text("question"), row.texts("choices"))


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
