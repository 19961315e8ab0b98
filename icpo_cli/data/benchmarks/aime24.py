"""AIME 2024: both papers of the American Invitational Mathematics Examination, answers from 0 to 999."""

from icpo_cli.data.benchmarks.benchmark import Benchmark, BenchmarkSource, HubDataset, own_layout, rlpr_source
from icpo_cli.data.sources import RawRow
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Question

GOLDS = "b3a1577356f98f07fde918094a6c98035f4c7c28e260aad5f7cec34713e69c91"


def _gold(row: RawRow, text: str, answer: str) -> Gold:
    """The gold without the leading zeros of the answer sheet."""
    if not answer.strip().isdecimal() or int(answer) > 999:
        raise UserError(f"{row.place}: the answer must be a whole number from 0 to 999, not {answer!r}")
    return Gold(str(int(answer)), AnswerKind.NUMBER)


def _original(row: RawRow) -> Question:
    text = row.text("problem")
    return Question(f"aime24/{row.text('id')}", text, _gold(row, text, row.text("answer")))


def _ask(question: Question) -> str:
    return (
        f"{question.text}\n\nReason step by step. The answer is a whole number from 0 to 999; "
        "end with it in \\boxed{}."
    )


AIME24 = Benchmark(
    name="aime24",
    title="AIME24",
    group="math",
    version="1",
    count=30,
    k=16,
    kinds=("number",),
    sources=(
        BenchmarkSource("aime24", own_layout(_gold), golds_sha256=GOLDS),
        rlpr_source("aime24", "AIME2024_Avg16", _gold),
        BenchmarkSource("aime_2024", _original, HubDataset("HuggingFaceH4/aime_2024", split="train")),
    ),
    licence="problems: Mathematical Association of America",
    about="30 competition problems with answers from 0 to 999",
    pitfalls=(
        "30 questions: even with 16 responses each, differences under about 10 points are noise.",
        "Some copies pad golds with zeros (025): they are compared as whole numbers.",
        "Widely published, so newer models have it in their training data.",
    ),
    own_form=_ask,
)
