"""Minerva: undergraduate science and engineering problems of MIT OpenCourseWare, free-form answers."""

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
    return Question(f"minerva/simplerl/{row.number}", text, math_gold(row, text, row.text("answer")))


GOLDS = "d964fba4f6006f2975e3d2482678cf61388ee272146b191018d1988eeb3cf5ae"

MINERVA = Benchmark(
    name="minerva",
    title="Minerva",
    group="math",
    version="1",
    count=272,
    k=2,
    kinds=("math",),
    sources=(
        BenchmarkSource("minerva", own_layout(math_gold), golds_sha256=GOLDS),
        rlpr_source("minerva", "Minerva_Avg4", math_gold),
        BenchmarkSource("simplerl-minerva-math", _original, HubDataset("zwhe99/simplerl-minerva-math", split="test")),
    ),
    licence="MIT; the problems are MIT OpenCourseWare's (CC BY-NC-SA)",
    about="272 problems of nine MIT courses, most with numeric answers in e-notation",
    pitfalls=(
        "The paper's text says Avg@2, its Table 2 Avg@16, and the name of RLPR's file Avg@4; icpo uses k = 2.",
        "Golds have no unit, answers do. 4.5e33 and 4.5 \\times 10^{33} are the same number.",
        "70 of the 272 questions contain a \\boxed{}: the answer is extracted from the response alone.",
        "Copies with list-wrapped answers have a wrong gold in at least 29 questions: the box of an earlier part.",
        "lm-evaluation-harness's minerva_math is Hendrycks' MATH, a different set.",
        "Golds are rounded to two or three digits, so exact answers can differ in the last digit.",
    ),
    own_form=ask_boxed,
)
