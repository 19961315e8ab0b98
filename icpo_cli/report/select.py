"""Which evaluations fill which rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from icpo_cli.config.load import nearest
from icpo_cli.errors import UserError
from icpo_cli.report import names
from icpo_cli.report.find import find_run
from icpo_cli.report.results import BenchScore, EvalRow, Evaluation, Subject, evaluations_of
from icpo_cli.report.rows_file import NamedRow
from icpo_cli.report.versions import ANEW, Versions, clash, versions_of
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun

ID_LETTERS = 8
ROWS_NAMED = 5
"""In a note."""


@dataclass(frozen=True)
class Request:
    """What the user asked to see."""

    runs: tuple[str, ...] = ()
    """Evaluations, training runs or studies; none: all of the store."""
    rows: tuple[NamedRow, ...] = ()
    """Of --rows: instead of what is in the store, these."""
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    mixed: bool = False


@dataclass(frozen=True)
class Selection:
    """Rows, and what was left out of them."""

    rows: tuple[EvalRow, ...]
    versions: Versions
    notes: tuple[str, ...] = ()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The evaluations that the numbers are from."""
        return tuple(dict.fromkeys(cell.run_id for row in self.rows for cell in row.cells.values()))


def select(runs: Sequence[PastRun], request: Request) -> Selection:
    """Raises UserError where nothing is there to show, and where asked runs do not share grader and data."""
    found = _filtered(evaluations_of(runs), request)
    if request.rows:
        selection = _as_asked([_named_row(row, runs, found) for row in request.rows], request.mixed)
    elif request.runs:
        rows = [row for name in request.runs for row in _rows_of(find_run(runs, name, "RUN"), found)]
        selection = _as_asked(_told_apart(rows), request.mixed)
    else:
        selection = _newest(found, request.mixed)
    return replace(selection, notes=(*selection.notes, *_drawn(selection, found)))


def _filtered(evaluations: Sequence[Evaluation], request: Request) -> list[Evaluation]:
    if not evaluations:
        raise UserError(
            "the store holds no finished evaluation: `icpo eval` makes one; a study's outcome: icpo runs show"
        )
    found = list(evaluations)
    if request.experiment is not None:
        known = sorted({each.run.experiment for each in found})
        found = [each for each in found if each.run.experiment == request.experiment]
        if not found:
            near = nearest(request.experiment, known)
            raise UserError(f"--experiment {request.experiment}: has no finished evaluation{near}")
    for key, value in request.tags.items():
        known = sorted({each for evaluation in found if (each := _tag(evaluation, key)) is not None})
        found = [each for each in found if _tag(each, key) == value]
        if not found:
            there = f"; that tag holds: {', '.join(known[:5])}" if known else "; no evaluation has that tag"
            raise UserError(f"--tag {key}={value}: no evaluation is tagged so{there}")
    return found


def _tag(evaluation: Evaluation, key: str) -> str | None:
    """The evaluation's own, else its training run's."""
    above = evaluation.training.tags if evaluation.training else {}
    return evaluation.run.tags.get(key, above.get(key))


def _newest(found: Sequence[Evaluation], mixed: bool) -> Selection:
    """A row a model and method, from the newest whole evaluation of each benchmark."""
    versions = versions_of([each.cells for each in found])
    by_subject: dict[Subject, list[Evaluation]] = {}
    for each in found:
        cells = {bench: cell for bench, cell in each.cells.items() if mixed or versions.fits(bench, cell)}
        if cells:
            by_subject.setdefault(each.subject, []).append(replace(each, cells=cells))
    rows = _told_apart([EvalRow(subject, _newest_cells(each)) for subject, each in by_subject.items()])
    notes = _several(rows, list(by_subject.values()))
    left_out = clash(_named_cells(found), versions)
    if left_out and not mixed:
        notes.append(f"Left out: {left_out}. {ANEW}.")
    return Selection(tuple(rows), versions, tuple(notes))


def _as_asked(rows: Sequence[EvalRow], mixed: bool) -> Selection:
    """Rows that the user named: none is left out, and none is shown beside what it cannot be compared with."""
    versions = versions_of([row.cells for row in rows])
    apart = clash([named for row in rows for named in row.cells.items()], versions)
    if apart and not mixed:
        raise UserError(f"these do not share a table: {apart}; {ANEW}")
    return Selection(tuple(rows), versions)


def _rows_of(run: PastRun, found: Sequence[Evaluation]) -> list[EvalRow]:
    """One of an evaluation or a training run; one for each training run of a study."""
    rows = []
    by_trained: dict[str, list[Evaluation]] = {}
    for each in evaluations_under(run, found, "RUN"):
        by_trained.setdefault(each.training.id if each.training else each.run.id, []).append(each)
    for run_id, evaluations in by_trained.items():
        subject = replace(evaluations[0].subject, source=run_id)
        rows.append(EvalRow(subject, _newest_cells(evaluations)))
    return rows


def evaluations_under(run: PastRun, found: Sequence[Evaluation], option: str) -> list[Evaluation]:
    """The evaluation itself, or those of a training run's checkpoints, or of a study's. Raises UserError on none."""
    itself = [each for each in found if each.run.id == run.id]
    under = [
        each
        for each in found
        if run.id == each.run.parent or (each.training and run.id in (each.training.id, each.training.parent))
    ]
    if not itself and not under:
        elsewhere = "; its own outcome: icpo runs show, and --out DIR" if run.kind is Kind.STUDY else ""
        raise UserError(
            f"{option} {run.id[:ID_LETTERS]} ({run.name}): has no finished evaluation among those asked for{elsewhere}"
        )
    return itself or under


def _named_row(row: NamedRow, runs: Sequence[PastRun], found: Sequence[Evaluation]) -> EvalRow:
    """The row that a file describes: what it does not say is as the runs have it."""
    evaluations = [
        each for name in row.runs for each in evaluations_under(find_run(runs, name, row.place), found, row.place)
    ]
    of_runs = evaluations[0].subject
    model = row.model or of_runs.model
    subject = Subject(
        family=row.family or (names.family(model) if row.model else of_runs.family),
        model=model,
        method=row.method or of_runs.method,
        setting=of_runs.setting if row.setting is None and row.method is None else row.setting or "",
        verifier=row.verifier or of_runs.verifier,
    )
    return EvalRow(subject, _newest_cells(sorted(evaluations, key=lambda each: each.run.start_ms, reverse=True)))


def _newest_cells(evaluations: Sequence[Evaluation]) -> dict[str, BenchScore]:
    """Of each benchmark the newest whole result, or the newest partial one; `evaluations` newest first."""
    cells: dict[str, BenchScore] = {}
    for wanted in (False, True):
        for bench, cell in _named_cells(evaluations):
            if cell.partial == wanted:
                cells.setdefault(bench, cell)
    return cells


def _named_cells(evaluations: Sequence[Evaluation]) -> list[tuple[str, BenchScore]]:
    return [named for each in evaluations for named in each.cells.items()]


def _told_apart(rows: Sequence[EvalRow]) -> list[EvalRow]:
    """Those that are called alike say what they were made of."""
    told = []
    for row in rows:
        alike = [each for each in rows if replace(each.subject, source="") == replace(row.subject, source="")]
        if len(alike) > 1:
            source = row.subject.source
            apart = source[:ID_LETTERS] if set(source) <= set("0123456789abcdef") else source
            row = replace(row, subject=replace(row.subject, apart=apart))
        told.append(row)
    return told


def _several(rows: Sequence[EvalRow], evaluations: Sequence[Sequence[Evaluation]]) -> list[str]:
    """Which rows stand for several training runs, if any does."""
    told = []
    for row, of_row in zip(rows, evaluations, strict=True):
        trained = {each.training.id for each in of_row if each.training}
        shown = {cell.run_id for cell in row.cells.values()}
        used = sorted({each.training.id[:ID_LETTERS] for each in of_row if each.training and each.run.id in shown})
        if len(trained) > 1:
            told.append(f"{row.title}: {' and '.join(used)} of {len(trained)} runs")
    if not told:
        return []
    more = f"; ... ({len(told):,} rows in all)" if len(told) > ROWS_NAMED else ""
    return [
        "Several training runs of a row were evaluated: the newest whole evaluation of each benchmark is shown, "
        f"named runs stand side by side. {'; '.join(told[:ROWS_NAMED])}{more}."
    ]


def _drawn(selection: Selection, evaluations: Sequence[Evaluation]) -> list[str]:
    """At which temperatures a model's responses were drawn, where that differs."""
    temperatures: dict[str, list[str]] = {}
    for each in evaluations:
        if each.run.id in selection.run_ids and each.run.tags["eval.source"] == "model":
            temperatures.setdefault(each.run.params.get("eval.temperature", "?"), []).append(each.run.id[:ID_LETTERS])
    if len(temperatures) < 2:
        return []
    groups = (f"{value} ({', '.join(ids[:ROWS_NAMED])})" for value, ids in sorted(temperatures.items()))
    return [f"Not all responses were drawn at one temperature: {'; '.join(groups)}."]
