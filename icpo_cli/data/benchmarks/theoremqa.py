"""TheoremQA: theorem-driven university questions with typed answers."""

import re

from icpo_cli.config.load import nearest
from icpo_cli.data.benchmarks.benchmark import Benchmark, BenchmarkSource, HubDataset, own_layout, rlpr_source
from icpo_cli.data.sources import RawRow
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Question

GOLDS = "2b9e0849d3d93abc3069ba10cc4cdc08fa496ed0586456ebff9c223a4947c5a2"
KINDS = {
    "bool": AnswerKind.BOOL,
    "option": AnswerKind.LETTER,
    "integer": AnswerKind.NUMBER,
    "float": AnswerKind.NUMBER,
    "list of integer": AnswerKind.LIST,
    "list of float": AnswerKind.LIST,
}
FORMS = {
    AnswerKind.BOOL: re.compile(r"true|false", re.IGNORECASE),
    AnswerKind.LETTER: re.compile(r"\(?[a-d]\)?", re.IGNORECASE),
    AnswerKind.NUMBER: re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE),
    AnswerKind.LIST: re.compile(r"[\[(].*[\])]", re.DOTALL),
}
"""Form of an answer of each kind in the data."""


def _own(row: RawRow, text: str, answer: str) -> Gold:
    return _typed(row, answer, row.text("answer_type"))


def _typed(row: RawRow, answer: str, answer_type: str) -> Gold:
    if answer_type not in KINDS:
        raise UserError(f"{row.place}: unknown answer type '{answer_type}'{nearest(answer_type, list(KINDS))}")
    kind = KINDS[answer_type]
    if not FORMS[kind].fullmatch(answer.strip()):
        raise UserError(f"{row.place}: the answer {answer!r} does not have its type, {answer_type}")
    return _gold(answer.strip(), kind)


def _by_form(row: RawRow, text: str, answer: str) -> Gold:
    """Infer the kind from the form: RLPR's file has no types. None: the verifier infers it."""
    answer = answer.strip()
    return _gold(answer, next((kind for kind, form in FORMS.items() if form.fullmatch(answer)), None))


def _gold(answer: str, kind: AnswerKind | None) -> Gold:
    if kind is AnswerKind.BOOL:
        return Gold(answer.capitalize(), kind)
    return Gold(answer.strip("()").upper() if kind is AnswerKind.LETTER else answer, kind)


def _original(row: RawRow) -> Question | None:
    """None for a question about a picture, which a language model cannot see."""
    if row.has("Picture"):
        return None
    gold = _typed(row, row.text("Answer"), row.text("Answer_type"))
    return Question(f"theoremqa/hub/{row.number}", row.text("Question"), gold)


def _ask(question: Question) -> str:
    return (
        f"{question.text}\n\nReason step by step. The answer is a number without symbol or unit, a list such as "
        "[2, 3, 4], True or False, or an option such as (a); end with it in \\boxed{}."
    )


THEOREMQA = Benchmark(
    name="theoremqa",
    title="TheoremQA",
    group="general",
    version="1",
    count=747,
    k=2,
    kinds=("number", "bool", "list", "letter"),
    sources=(
        BenchmarkSource("theoremqa", own_layout(_own), golds_sha256=GOLDS),
        rlpr_source("theoremqa", "TheoremQA_Avg2", _by_form),
        BenchmarkSource("TheoremQA", _original, HubDataset("TIGER-Lab/TheoremQA", split="test"), rows=800),
    ),
    licence="MIT",
    about="747 of 800 questions on theorems of mathematics, EECS, physics and finance; 53 with pictures are left out",
    pitfalls=(
        "The official rule takes floats within 4 %: set reward.rule=theoremqa to compare with its numbers.",
        "Golds are rounded (0.333 for 1/3), so a strict rule must respect their digits.",
        "The official extraction reads any 'yes', 'no', 'true' or 'false' as an answer, 'normal' and 'cannot' too.",
        "True, Yes and 1 are equal in answers to the 112 yes-or-no questions.",
        "32 golds are 0, for which a relative tolerance allows only 0.",
    ),
    own_form=_ask,
)
