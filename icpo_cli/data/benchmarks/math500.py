"""MATH-500: competition problems of five levels, LaTeX answers."""

from icpo_cli.data.benchmarks.benchmark import (
    Benchmark,
    BenchmarkSource,
    HubDataset,
    ask_boxed,
    math_gold,
    own_layout,
    rlpr_source,
)
from icpo_cli.data.sources import RawRow
from icpo_cli.records import Question


def _original(row: RawRow) -> Question:
    text = row.text("problem")
    return Question(f"math500/{row.text('unique_id')}", text, math_gold(row, text, row.text("answer")))


GOLDS = "b57b03cab4499f574f951dcb14810d3848ddd4bed327db73b1917a688519c6d9"

MATH500 = Benchmark(
    name="math500",
    title="MATH-500",
    group="math",
    version="1",
    count=500,
    k=2,
    kinds=("math",),
    sources=(
        BenchmarkSource("math500", own_layout(math_gold), golds_sha256=GOLDS),
        rlpr_source("math500", "Math-500_Avg2", math_gold),
        BenchmarkSource("MATH-500", _original, HubDataset("HuggingFaceH4/MATH-500", split="test")),
    ),
    licence="MIT",
    about="500 test problems of Hendrycks' MATH, as selected by PRM800K",
    pitfalls=(
        "Golds are LaTeX: 90^\\circ, \\$32,\\!348, 52_8 (a number in base 8, not 52), \\text{(C)}, \\text{east}.",
        "3, 5, 7 is a set, (3, 5) a point: order matters only in the second.",
        "x \\in [-2,7] and [-2,7] are the same answer.",
        "Models that were trained on the other 12,000 problems of MATH have seen similar ones.",
    ),
    own_form=ask_boxed,
)
