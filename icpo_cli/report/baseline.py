"""The report of --against: our numbers next to a baseline's, with difference, interval and detectable effect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS, TITLES
from icpo_cli.report.accuracy_table import (
    NOTHING,
    flat,
    footnotes_of,
    marks_of,
    number_text,
    printed_value,
    score_json,
    variant_json,
)
from icpo_cli.report.names import method_title
from icpo_cli.report.results import COLUMNS, MEANS, NORMAL_95, UNKNOWN, EvalRow, Score
from icpo_cli.report.select import Selection
from icpo_cli.statistics import minimum_detectable_effect
from icpo_cli.tables.document import Cell, Column, Document, Table
from icpo_cli.text import known

EQUAL, NO_INTERVAL = "cannot be told apart", "no interval"
MINUS = "\N{MINUS SIGN}"
NAMES = ("Table", "Model", "Method", "Verifier")
OURS = {"stderr", "ci95_low", "ci95_high", "partial"}
"""Columns of the CSV with facts of our score."""
DIFFERENCE = {"difference", "difference_ci95", "minimum_detectable_effect", "verdict"}
EXPLANATION = (
    "Interval: 95 % interval of ours, over questions. Difference: ours minus theirs, in percentage points. Detectable: "
    "the minimum detectable effect, which is the true difference that so many questions of this spread show at the 5 % "
    "level in 80 % of cases. If theirs has no standard error, it gets ours, scaled to all questions of the benchmark. "
    "Cannot be told apart: the 95 % interval of the difference contains 0; without a true difference, 1 of 20 does not."
)
OTHER_GRADERS = (
    "The paper's numbers come from its own graders and its own copies of the benchmarks: the difference of the graders "
    "is part of each difference."
)


@dataclass(frozen=True)
class BaselineDifference:
    """One of our numbers less the baseline's: percentage points."""

    ours: EvalRow
    theirs: EvalRow
    column: str
    our_score: Score
    their_score: Score
    stderr: float
    """Standard error of the difference; NaN if our interval is not known."""
    minimum_detectable_effect: float

    @property
    def value(self) -> float:
        return self.our_score.avg_at_k - self.their_score.avg_at_k

    @property
    def ci95(self) -> tuple[float, float]:
        half = NORMAL_95 * self.stderr
        return self.value - half, self.value + half

    @property
    def notes(self) -> list[str]:
        """Known differences in grader and data."""
        notes = []
        their_scores = dict(self.theirs.named_parts(self.column))
        for bench, score in self.ours.named_parts(self.column):
            their = their_scores[bench]
            if UNKNOWN not in (their.grader, score.grader) and their.grader != score.grader:
                notes.append(f"Graded by verifier {score.grader}, theirs by {their.grader}.")
            if UNKNOWN not in (their.data, score.data) and their.data != score.data:
                notes.append(f"Theirs is on other {TITLES[bench]} questions.")
        return list(dict.fromkeys(notes))

    @property
    def verdict(self) -> str:
        if math.isnan(self.stderr):
            return NO_INTERVAL
        if abs(self.value) <= NORMAL_95 * self.stderr:
            return EQUAL
        return "higher" if self.value > 0 else "lower"


def baseline_report(selection: Selection, baseline: Sequence[EvalRow], name: str) -> Document:
    """Differences, then all rows of the baseline. `name`: paper, or the baseline's file."""
    found = differences(selection.rows, baseline)
    shown = _without_repeats(found)
    tables = (*([_difference_table(shown, name)] if shown else []), _baseline_table(baseline, name))
    notes = _notes(selection, baseline, shown, name)
    data = {
        "against": name,
        "comparisons": [_difference_json(difference) for difference in found],
        "theirs": [dict(row.printed) for row in baseline],
        "notes": notes,
    }
    return Document(f"Compared with {_called(name)}", tables, tuple(notes), data, tuple(_lines(baseline, found)))


def differences(ours: Sequence[EvalRow], baseline: Sequence[EvalRow]) -> list[BaselineDifference]:
    """Differences of all numbers that both have, in the order of the baseline's rows."""
    pairs = [(our, their) for their in baseline for our in ours if our.key == their.key]
    found = [_difference(our, their, column) for our, their in pairs for column in COLUMNS]
    return [difference for difference in found if difference is not None]


def misprints(baseline: Sequence[EvalRow]) -> list[str]:
    """Printed means that differ from the mean of their row's cells."""
    found = []
    for their in baseline:
        for column in MEANS:
            printed, mean = their.printed.get(column, "").strip(), their.score(column)
            if printed and mean is not None and abs(float(printed) - mean.avg_at_k) > 0.1 + 1e-9:
                found.append(
                    f"{their.title}: {column.capitalize()} is printed as {printed}; the mean of its cells, which "
                    f"is compared with, is {printed_value(mean.avg_at_k)}"
                )
    return list(dict.fromkeys(found))


def _difference(our: EvalRow, their: EvalRow, column: str) -> BaselineDifference | None:
    our_score, their_score = our.score(column), their.score(column)
    if our_score is None or their_score is None:
        return None
    benches = GROUPS[column] if column in MEANS else [column]
    scores = [our.scores[bench] for bench in benches]
    errors = [_error(bench, our.scores[bench], their.scores[bench]) for bench in benches]
    stderr = math.sqrt(sum(error**2 for error in errors)) / len(errors)
    return BaselineDifference(
        ours=our,
        theirs=their,
        column=column,
        our_score=our_score,
        their_score=their_score,
        stderr=stderr,
        minimum_detectable_effect=minimum_detectable_effect(stderr, sum(score.n for score in scores)),
    )


def _error(bench: str, ours: Score, theirs: Score) -> float:
    """Standard error of a difference. A baseline without an error gets ours, scaled to the whole benchmark."""
    own = _known_error(ours)
    other = own * math.sqrt(ours.n / BENCHMARKS[bench].count) if math.isnan(theirs.stderr) else theirs.stderr
    return math.hypot(own, other)


def _known_error(score: Score) -> float:
    """The standard error; if equal accuracies of all questions make it 0, the one that the interval's width implies."""
    if score.stderr > 0:
        return score.stderr
    return (score.ci95[1] - score.ci95[0]) / (2 * NORMAL_95)


def _without_repeats(found: Sequence[BaselineDifference]) -> list[BaselineDifference]:
    """Differences without those to a number that an earlier table of the baseline has too."""
    kept: dict[tuple[object, ...], BaselineDifference] = {}
    for each in found:
        kept.setdefault((id(each.ours), each.column, each.their_score.avg_at_k), each)
    return list(kept.values())


def _called(name: str) -> str:
    return "the paper" if name == "paper" else name


def _notes(
    selection: Selection, baseline: Sequence[EvalRow], shown: Sequence[BaselineDifference], name: str
) -> list[str]:
    notes = [*selection.notes]
    if shown:
        notes.append(EXPLANATION)
        notes += [OTHER_GRADERS] if name == "paper" else []
    keys = {their.key for their in baseline}
    alone = [row.title for row in selection.rows if row.key not in keys]
    if alone:
        notes.append(f"Ours without a row there of the same model, method and setting: {'; '.join(alone)}.")
    return notes + [f"{text}." for text in misprints(baseline)]


def _difference_table(found: Sequence[BaselineDifference], name: str) -> Table:
    """A group of lines for each pair of our row and the baseline's table."""
    letters: dict[str, str] = {}
    groups = []
    for title, group in groupby(found, key=_group_title):
        groups.append((title, tuple(_cells(each, letters) for each in group)))
    theirs = "Paper" if name == "paper" else "Theirs"
    headings = ("Ours", "95 % interval", theirs, "Difference", "Detectable")
    return Table(
        title=f"Ours and {'the paper’s' if name == 'paper' else 'theirs'}",
        columns=(
            Column("Benchmark", numeric=False),
            *(Column(text) for text in headings),
            Column("Conclusion", numeric=False),
        ),
        groups=tuple(groups),
        footnotes=footnotes_of(any(each.our_score.partial for each in found), letters),
    )


def _group_title(each: BaselineDifference) -> str:
    table = each.theirs.table.removeprefix("table")
    return f"{each.ours.title}, Table {table}" if table else each.ours.title


def _cells(each: BaselineDifference, letters: dict[str, str]) -> tuple[Cell, ...]:
    low, high = each.our_score.ci95
    return (
        Cell(TITLES[each.column]),
        Cell(
            number_text(each.our_score.avg_at_k),
            marks=marks_of(each.our_score.partial, each.notes, letters),
            run_id=each.our_score.run_id,
        ),
        Cell(NOTHING if math.isnan(low) else f"{low:.1f} to {high:.1f}"),
        Cell(number_text(each.their_score.avg_at_k)),
        Cell(f"{each.value:+.1f}".replace("-", MINUS)),
        Cell(number_text(each.minimum_detectable_effect)),
        Cell(each.verdict),
    )


def _baseline_table(baseline: Sequence[EvalRow], name: str) -> Table:
    """Every row of the baseline, with its cells as they are written there."""
    columns = [column for column in COLUMNS if any(their.printed.get(column) for their in baseline)]
    return Table(
        title=f"Rows of {_called(name)}",
        columns=(*(Column(text, numeric=False) for text in NAMES), *(Column(TITLES[column]) for column in columns)),
        groups=(("", tuple(_baseline_cells(their, columns) for their in baseline)),),
    )


def _baseline_cells(their: EvalRow, columns: Sequence[str]) -> tuple[Cell, ...]:
    variant = their.variant
    method = method_title(variant.method) + (f" ({variant.setting})" if variant.setting else "")
    texts = (their.table.removeprefix("table"), variant.model, method, their.printed.get("verifier", ""))
    numbers = (their.printed.get(column) or NOTHING for column in columns)
    return tuple(Cell(text) for text in (*texts, *numbers))


def _difference_json(each: BaselineDifference) -> dict[str, object]:
    return {
        "table": each.theirs.table,
        "ours": {**variant_json(each.ours.variant), **score_json(each.our_score, each.column in MEANS)},
        "bench": each.column,
        "theirs": each.their_score.avg_at_k,
        "difference": each.value,
        "difference_ci95": [known(bound) for bound in each.ci95],
        "minimum_detectable_effect": known(each.minimum_detectable_effect),
        "verdict": each.verdict,
        "differs": each.notes,
    }


def _lines(baseline: Sequence[EvalRow], found: Sequence[BaselineDifference]) -> list[dict[str, object]]:
    """CSV lines: one for each number of the baseline and each of ours that it is compared with."""
    lines: list[dict[str, object]] = []
    for their in baseline:
        variant = their.variant
        names = {"table": their.table, "model": variant.model, "method": variant.method, "setting": variant.setting}
        for column in COLUMNS:
            score, printed = their.score(column), their.printed.get(column, "")
            compared = [_our_values(each) for each in found if each.theirs is their and each.column == column]
            if score is not None or printed:
                number = {"bench": column, "printed": printed, "theirs": None if score is None else score.avg_at_k}
                lines += [{**names, **number, **ours} for ours in compared or [{}]]
    return [dict.fromkeys(column for line in lines for column in line) | line for line in lines]


def _our_values(each: BaselineDifference) -> dict[str, object]:
    score = {name: value for name, value in flat(score_json(each.our_score, mean=True)).items() if name in OURS}
    difference = {name: value for name, value in _difference_json(each).items() if name in DIFFERENCE}
    return {"ours_row": each.ours.title, "ours": each.our_score.avg_at_k, **score, **flat(difference)}
