"""Our numbers beside those of others: difference, our interval, and what so many questions can show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS
from icpo_cli.report.paper import TheirRow, subject_key
from icpo_cli.report.rank import printed_value
from icpo_cli.report.results import COLUMNS, MEANS, NORMAL_95, TITLES, BenchScore, EvalRow, Score
from icpo_cli.report.results import UNKNOWN as UNKNOWN_VERSION
from icpo_cli.statistics import minimum_detectable_effect

ALIKE, NO_INTERVAL = "cannot be told apart", "no interval"


@dataclass(frozen=True)
class Difference:
    """One number of ours and theirs, percentage points."""

    ours: EvalRow
    theirs: TheirRow
    column: str
    our_score: Score
    their_score: Score
    stderr: float
    """Of the difference; NaN where our interval is not known."""
    could_show: float
    """The true difference that so many questions show at the 5 % level in 80 % of cases."""

    @property
    def value(self) -> float:
        return self.our_score.avg_at_k - self.their_score.avg_at_k

    @property
    def ci95(self) -> tuple[float, float]:
        half = NORMAL_95 * self.stderr
        return self.value - half, self.value + half

    @property
    def otherwise(self) -> list[str]:
        """How their number came about otherwise than ours, as far as it is known."""
        notes = []
        their_cells = dict(self.theirs.row.named_parts(self.column))
        for bench, cell in self.ours.named_parts(self.column):
            their = their_cells[bench]
            if UNKNOWN_VERSION not in (their.grader, cell.grader) and their.grader != cell.grader:
                notes.append(f"Graded by verifier {cell.grader}, theirs by {their.grader}.")
            if UNKNOWN_VERSION not in (their.data, cell.data) and their.data != cell.data:
                notes.append(f"Theirs is on other {TITLES[bench]} questions.")
        return list(dict.fromkeys(notes))

    @property
    def verdict(self) -> str:
        if math.isnan(self.stderr):
            return NO_INTERVAL
        if abs(self.value) <= NORMAL_95 * self.stderr:
            return ALIKE
        return "higher" if self.value > 0 else "lower"


def differences(ours: Sequence[EvalRow], theirs: Sequence[TheirRow]) -> list[Difference]:
    """Of every number that both have, in their rows' order."""
    alike = [(our, their) for their in theirs for our in ours if subject_key(our.subject) == their.key]
    found = [_difference(our, their, column) for our, their in alike for column in COLUMNS]
    return [difference for difference in found if difference is not None]


def misprints(theirs: Sequence[TheirRow]) -> list[str]:
    """Printed means that are not those of their row's cells."""
    found = []
    for their in theirs:
        for column in MEANS:
            printed, mean = their.columns.get(column, "").strip(), their.row.score(column)
            if printed and mean is not None and abs(float(printed) - mean.avg_at_k) > 0.1 + 1e-9:
                found.append(
                    f"{their.row.title}: {column.capitalize()} is printed as {printed}; the mean of its cells, which "
                    f"is compared with, is {printed_value(mean.avg_at_k)}"
                )
    return list(dict.fromkeys(found))


def _difference(our: EvalRow, their: TheirRow, column: str) -> Difference | None:
    our_score, their_score = our.score(column), their.row.score(column)
    if our_score is None or their_score is None:
        return None
    benches = GROUPS[column] if column in MEANS else [column]
    cells = [our.cells[bench] for bench in benches]
    errors = [_error(bench, our.cells[bench], their.row.cells[bench]) for bench in benches]
    stderr = math.sqrt(sum(error**2 for error in errors)) / len(errors)
    return Difference(
        ours=our,
        theirs=their,
        column=column,
        our_score=our_score,
        their_score=their_score,
        stderr=stderr,
        could_show=minimum_detectable_effect(stderr, sum(cell.n for cell in cells)),
    )


def _error(bench: str, ours: BenchScore, theirs: BenchScore) -> float:
    """Standard error of the difference: theirs, where none is known, as ours would be on all questions."""
    own = _known_error(ours)
    other = own * math.sqrt(ours.n / BENCHMARKS[bench].count) if math.isnan(theirs.stderr) else theirs.stderr
    return math.hypot(own, other)


def _known_error(cell: BenchScore) -> float:
    """Equal accuracies of all questions show no spread: the interval's width stands in."""
    if cell.stderr > 0:
        return cell.stderr
    return (cell.ci95[1] - cell.ci95[0]) / (2 * NORMAL_95)
