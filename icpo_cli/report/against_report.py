"""The report of --against: what both have, number by number; then the rows of the others as they stand."""

import math
from collections.abc import Sequence
from itertools import groupby

from icpo_cli.report.against import Difference, differences, misprints
from icpo_cli.report.names import method_title
from icpo_cli.report.paper import TheirRow, subject_key
from icpo_cli.report.report import Report, known, score_json, subject_json
from icpo_cli.report.results import COLUMNS, TITLES
from icpo_cli.report.select import Selection
from icpo_cli.report.table import NOTHING, PARTIAL, number_text
from icpo_cli.tables.table import PARTIAL_MARK, Cell, Column, Document, Table, footnote_mark

MINUS = "\N{MINUS SIGN}"
NAMES = ("Table", "Model", "Method", "Verifier")
OF_THEIRS = ("table", "model", "method", "setting", "bench", "printed", "theirs")
OF_OURS = (
    *("ours_row", "ours", "stderr", "ci95_low", "ci95_high", "partial"),
    *("difference", "difference_ci95_low", "difference_ci95_high", "could_show", "verdict"),
)
"""Columns of the CSV."""
WHAT_IT_SAYS = (
    "Interval: 95 %, of ours, over questions. Difference: ours less theirs, in percentage points. Could show: the true "
    "difference that so many questions of this spread show at the 5 % level in 80 % of cases. Where theirs comes "
    "without an error, it is taken to have as many questions as the benchmark and our spread. A difference cannot be "
    "told apart from none where its own 95 % interval holds 0; by chance one of twenty lies outside."
)
OTHER_GRADERS = (
    "The paper's numbers are by its own graders on its own copies of the benchmarks: a difference holds that of the "
    "graders too."
)


def against_report(selection: Selection, theirs: Sequence[TheirRow], name: str) -> Report:
    """`name`: what the others are called: paper, or a file."""
    found = differences(selection.rows, theirs)
    shown = _once(found)
    document = Document(
        title=f"Compared with {_called(name)}",
        tables=(*([_comparison(shown, name)] if shown else []), _their_grid(theirs, name)),
        notes=tuple(_notes(selection, theirs, shown, name)),
    )
    data = {
        "against": name,
        "comparisons": [_difference_json(difference) for difference in found],
        "theirs": [dict(their.columns) for their in theirs],
        "notes": list(document.notes),
    }
    run_ids = tuple(dict.fromkeys(cell.run_id for each in shown for _, cell in each.ours.named_parts(each.column)))
    return Report(document, data, tuple(_lines(theirs, found)), run_ids)


def _once(found: Sequence[Difference]) -> list[Difference]:
    """Without those from a number that an earlier row of theirs, of another table, gave already."""
    kept: dict[tuple[object, ...], Difference] = {}
    for each in found:
        kept.setdefault((id(each.ours), each.column, each.their_score.avg_at_k), each)
    return list(kept.values())


def _called(name: str) -> str:
    return "the paper" if name == "paper" else name


def _notes(selection: Selection, theirs: Sequence[TheirRow], shown: Sequence[Difference], name: str) -> list[str]:
    notes = [*selection.notes]
    if shown:
        notes.append(WHAT_IT_SAYS)
        notes += [OTHER_GRADERS] if name == "paper" else []
    keys = {their.key for their in theirs}
    alone = [row.title for row in selection.rows if subject_key(row.subject) not in keys]
    if alone:
        notes.append(f"Ours that find no row there by model, method and setting: {'; '.join(alone)}.")
    return notes + [f"{text}." for text in misprints(theirs)]


def _comparison(found: Sequence[Difference], name: str) -> Table:
    """A group of lines for each of our rows and their table."""
    letters: dict[str, str] = {}
    groups = []
    for title, group in groupby(found, key=_group_title):
        groups.append((title, tuple(_line(each, letters) for each in group)))
    partial = any(each.our_score.partial for each in found)
    theirs = "Paper" if name == "paper" else "Theirs"
    headers = ("Ours", "95 % interval", theirs, "Difference", "Could show")
    return Table(
        title=f"Ours and {'the paper’s' if name == 'paper' else 'theirs'}",
        columns=(
            Column("Benchmark", numeric=False),
            *(Column(text) for text in headers),
            Column("Conclusion", numeric=False),
        ),
        groups=tuple(groups),
        footnotes=(
            *(((PARTIAL_MARK, PARTIAL),) if partial else ()),
            *((letter, note) for note, letter in letters.items()),
        ),
    )


def _group_title(each: Difference) -> str:
    table = each.theirs.table.removeprefix("table")
    return f"{each.ours.title}, Table {table}" if table else each.ours.title


def _line(each: Difference, letters: dict[str, str]) -> tuple[Cell, ...]:
    marks = [letters.setdefault(note, footnote_mark(len(letters))) for note in each.otherwise]
    marks = [PARTIAL_MARK, *marks] if each.our_score.partial else marks
    low, high = each.our_score.ci95
    return (
        Cell(TITLES[each.column]),
        Cell(number_text(each.our_score.avg_at_k), marks=",".join(marks)),
        Cell(NOTHING if math.isnan(low) else f"{low:.1f} to {high:.1f}"),
        Cell(number_text(each.their_score.avg_at_k)),
        Cell(f"{each.value:+.1f}".replace("-", MINUS)),
        Cell(number_text(each.could_show)),
        Cell(each.verdict),
    )


def _their_grid(theirs: Sequence[TheirRow], name: str) -> Table:
    """Every row with its cells as they are written there."""
    columns = [column for column in COLUMNS if any(their.columns.get(column) for their in theirs)]
    return Table(
        title=f"Rows of {_called(name)}",
        columns=(*(Column(text, numeric=False) for text in NAMES), *(Column(TITLES[column]) for column in columns)),
        groups=(("", tuple(_their_line(their, columns) for their in theirs)),),
    )


def _their_line(their: TheirRow, columns: Sequence[str]) -> tuple[Cell, ...]:
    of = their.row.subject
    method = method_title(of.method) + (f" ({of.setting})" if of.setting else "")
    texts = (their.table.removeprefix("table"), of.model, method, their.columns.get("verifier", ""))
    numbers = (their.columns.get(column) or NOTHING for column in columns)
    return tuple(Cell(text) for text in (*texts, *numbers))


def _difference_json(each: Difference) -> dict[str, object]:
    return {
        "table": each.theirs.table,
        "ours": {**subject_json(each.ours.subject), **score_json(each.our_score)},
        "bench": each.column,
        "theirs": each.their_score.avg_at_k,
        "difference": each.value,
        "difference_ci95": [known(bound) for bound in each.ci95],
        "could_show": known(each.could_show),
        "verdict": each.verdict,
        "differs": each.otherwise,
    }


def _lines(theirs: Sequence[TheirRow], found: Sequence[Difference]) -> list[tuple[object, ...]]:
    """A line for each number of theirs, with every one of ours that it is compared with."""
    lines: list[tuple[object, ...]] = [(*OF_THEIRS, *OF_OURS)]
    for their in theirs:
        of = their.row.subject
        for column in COLUMNS:
            score = their.row.score(column)
            printed = their.columns.get(column, "")
            if score is None and not printed:
                continue
            names = (
                their.table,
                of.model,
                of.method,
                of.setting,
                column,
                printed,
                "" if score is None else score.avg_at_k,
            )
            compared = [each for each in found if each.theirs is their and each.column == column]
            lines += [(*names, *_numbers(each)) for each in compared] or [(*names, *[""] * len(OF_OURS))]
    return lines


def _numbers(each: Difference) -> tuple[object, ...]:
    score = each.our_score
    numbers = (score.avg_at_k, score.stderr, *score.ci95)
    known_ones = ["" if math.isnan(value) else value for value in numbers]
    rest = ["" if math.isnan(value) else value for value in (each.value, *each.ci95, each.could_show)]
    return (each.ours.title, *known_ones, str(score.partial).lower(), *rest, each.verdict)
