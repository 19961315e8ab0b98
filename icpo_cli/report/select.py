"""Rows of a table: which evaluations fill them, by default or as the user asks.

The file of --rows says which run fills which row:

rows:
  - {family: qwen, model: Qwen2.5-7B, method: grpo, run: 3f2a91}
  - {run: [77ab02, 91cc54]}    # the other keys are taken from the runs
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.load import nearest, read_yaml
from icpo_cli.errors import UserError
from icpo_cli.report import names
from icpo_cli.report.results import (
    RESCORE_HINT,
    EvalRow,
    ModelVariant,
    PastEvaluation,
    Score,
    Versions,
    evaluations_of,
    versions_of,
)
from icpo_cli.report.runs import find_run
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun

ID_LETTERS = 8
ROWS_NAMED = 5
"""Rows that a note names."""
LEVELS = 2
"""Below a study: its training runs, and their evaluations."""
KEYS = ("family", "model", "method", "setting", "verifier", "run")


@dataclass(frozen=True)
class RequestedRow:
    """One row of --rows."""

    location: str
    """File and row number, for messages."""
    runs: tuple[str, ...]
    names: Mapping[str, str]
    """Values of the other KEYS; those that are absent are taken from the runs."""


@dataclass(frozen=True)
class ReportRequest:
    """Evaluations that the user wants to see."""

    runs: tuple[str, ...] = ()
    """Evaluations, training runs or studies; none: the whole store."""
    rows: tuple[RequestedRow, ...] = ()
    """Rows of --rows, which replace those of the store."""
    experiment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    mixed: bool = False


@dataclass(frozen=True)
class Selection:
    """Rows of a table, with notes on what was left out."""

    rows: tuple[EvalRow, ...]
    versions: Versions
    notes: tuple[str, ...] = ()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The evaluations that the numbers come from."""
        return tuple(dict.fromkeys(score.run_id for row in self.rows for score in row.scores.values()))


def select(runs: Sequence[PastRun], request: ReportRequest) -> Selection:
    """Raises UserError if there is nothing to show, and if requested runs do not share grader and data."""
    found = _filtered(evaluations_of(runs), request)
    if request.rows:
        selection = _as_requested([_requested_row(row, runs, found) for row in request.rows], request.mixed)
    elif request.runs:
        rows = [row for name in request.runs for row in _rows_of(find_run(runs, name, "RUN"), found)]
        selection = _as_requested(_distinguished(rows), request.mixed)
    else:
        selection = _newest(found, request.mixed)
    return replace(selection, notes=(*selection.notes, *_temperatures(selection, found)))


def has_evaluations(runs: Sequence[PastRun], request: ReportRequest) -> bool:
    """Whether there are finished evaluations for a table, or the user asked for some explicitly."""
    return bool(request.rows or request.tags or evaluations_of(listed_runs(runs, request, ())))


def listed_runs(runs: Sequence[PastRun], request: ReportRequest, tabled: Sequence[str]) -> list[PastRun]:
    """The whole store, or the requested runs with all runs above and below them.

    `tabled`: ids of the evaluations in the tables. Raises UserError.
    """
    if request == ReportRequest(mixed=request.mixed):
        return list(runs)
    by_id = {run.id: run for run in runs}
    kept = {*tabled, *(find_run(runs, name, "RUN").id for name in request.runs)}
    if request.experiment is not None and not request.runs:
        kept |= {run.id for run in runs if run.experiment == request.experiment}
        if not kept:
            known = nearest(request.experiment, sorted({run.experiment for run in runs}))
            raise UserError(f"--experiment {request.experiment}: has no runs{known}")
    for _ in range(LEVELS):
        kept |= {run.id for run in runs if run.parent in kept}
    for run_id in list(kept):
        above = by_id[run_id].parent
        while above in by_id:
            kept.add(above)
            above = by_id[above].parent
    return [run for run in runs if run.id in kept]


def read_rows(path: Path) -> tuple[RequestedRow, ...]:
    """Rows of a --rows file. Raises UserError, one line naming file, row and key."""
    document = read_yaml(path)
    rows = document.get("rows")
    if set(document) != {"rows"} or not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: must have the key 'rows' alone, a list of {{{', '.join(KEYS)}}}")
    return tuple(_read_row(f"{path}: row {number}", row) for number, row in enumerate(rows, 1))


def _read_row(location: str, row: Any) -> RequestedRow:
    if not isinstance(row, dict):
        raise UserError(f"{location}: must be {{{', '.join(KEYS)}}}, not {row!r}")
    for key, value in row.items():
        if key not in KEYS:
            raise UserError(f"{location}: unknown key '{key}'{nearest(str(key), KEYS)}")
        if key != "run" and not isinstance(value, str):
            raise UserError(f"{location}: '{key}' must be a text, not {value!r}")
    runs = row.get("run")
    runs = runs if isinstance(runs, list) else [runs]
    if not runs or not all(isinstance(run, str) and run for run in runs):
        raise UserError(f"{location}: 'run' must name a run, or a list of them, in quotes where the id is all digits")
    verifiers = list(names.VERIFIERS)
    if row.get("verifier", "none") not in verifiers:
        raise UserError(f"{location}: verifier: unknown '{row['verifier']}'{nearest(row['verifier'], verifiers)}")
    return RequestedRow(location, tuple(runs), {key: value for key, value in row.items() if key != "run"})


def _filtered(evaluations: Sequence[PastEvaluation], request: ReportRequest) -> list[PastEvaluation]:
    """Evaluations of the requested experiment, with the requested tags."""
    if not evaluations:
        raise UserError("the store has no finished evaluation: `icpo eval` makes one; a study's result: icpo runs show")
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
            values = f"; values of that tag: {', '.join(known[:5])}" if known else "; no evaluation has that tag"
            raise UserError(f"--tag {key}={value}: no evaluation matches{values}")
    return found


def _tag(evaluation: PastEvaluation, key: str) -> str | None:
    """The evaluation's own tag, else its training run's."""
    above = evaluation.training.tags if evaluation.training else {}
    return evaluation.run.tags.get(key, above.get(key))


def _newest(found: Sequence[PastEvaluation], mixed: bool) -> Selection:
    """One row per model and method, from the newest complete evaluation of each benchmark."""
    versions = versions_of([each.scores for each in found])
    by_variant: dict[ModelVariant, list[PastEvaluation]] = {}
    for each in found:
        scores = {bench: score for bench, score in each.scores.items() if mixed or versions.match(bench, score)}
        if scores:
            by_variant.setdefault(each.variant, []).append(replace(each, scores=scores))
    rows = _distinguished([EvalRow(variant, _newest_scores(each)) for variant, each in by_variant.items()])
    notes = _several_runs(rows, list(by_variant.values()))
    left_out = versions.mismatch(_named_scores(found))
    if left_out and not mixed:
        notes.append(f"Left out: {left_out}. {RESCORE_HINT}.")
    return Selection(tuple(rows), versions, tuple(notes))


def _as_requested(rows: Sequence[EvalRow], mixed: bool) -> Selection:
    """Rows that the user named: an error if they cannot be compared, because none is left out."""
    versions = versions_of([row.scores for row in rows])
    mismatch = versions.mismatch(named for row in rows for named in row.scores.items())
    if mismatch and not mixed:
        raise UserError(f"these do not share a table: {mismatch}; {RESCORE_HINT}")
    return Selection(tuple(rows), versions)


def _rows_of(run: PastRun, found: Sequence[PastEvaluation]) -> list[EvalRow]:
    """One row for an evaluation or a training run; one per training run for a study."""
    by_trained: dict[str, list[PastEvaluation]] = {}
    for each in _evaluations_under(run, found, "RUN"):
        by_trained.setdefault(each.training.id if each.training else each.run.id, []).append(each)
    return [
        EvalRow(replace(evaluations[0].variant, source=run_id), _newest_scores(evaluations))
        for run_id, evaluations in by_trained.items()
    ]


def _evaluations_under(run: PastRun, found: Sequence[PastEvaluation], option: str) -> list[PastEvaluation]:
    """The evaluation itself, or those of a training run's or a study's checkpoints. Raises UserError without any."""
    itself = [each for each in found if each.run.id == run.id]
    under = [
        each
        for each in found
        if run.id == each.run.parent or (each.training and run.id in (each.training.id, each.training.parent))
    ]
    if not itself and not under:
        elsewhere = "; its own result: icpo runs show, and --out DIR" if run.kind is Kind.STUDY else ""
        raise UserError(
            f"{option} {run.id[:ID_LETTERS]} ({run.name}): has no finished evaluation among those selected{elsewhere}"
        )
    return itself or under


def _requested_row(row: RequestedRow, runs: Sequence[PastRun], found: Sequence[PastEvaluation]) -> EvalRow:
    """A row of --rows; keys that it lacks are taken from its runs."""
    requested = [find_run(runs, name, row.location) for name in row.runs]
    evaluations = [each for run in requested for each in _evaluations_under(run, found, row.location)]
    own = evaluations[0].variant
    usual = {
        "family": names.family(row.names["model"]) if row.names.get("model") else own.family,
        "model": own.model,
        "method": own.method,
        "setting": "" if "method" in row.names else own.setting,
        "verifier": own.verifier,
    }
    given = {key: value for key, value in row.names.items() if value or key == "setting"}
    variant = ModelVariant(**{**usual, **given})
    return EvalRow(variant, _newest_scores(sorted(evaluations, key=lambda each: each.run.start_ms, reverse=True)))


def _newest_scores(evaluations: Sequence[PastEvaluation]) -> dict[str, Score]:
    """Newest complete score of each benchmark, else the newest partial one; `evaluations` newest first."""
    scores: dict[str, Score] = {}
    for partial in (False, True):
        for bench, score in _named_scores(evaluations):
            if score.partial == partial:
                scores.setdefault(bench, score)
    return scores


def _named_scores(evaluations: Sequence[PastEvaluation]) -> list[tuple[str, Score]]:
    return [named for each in evaluations for named in each.scores.items()]


def _distinguished(rows: Sequence[EvalRow]) -> list[EvalRow]:
    """The rows; those with the same names also show their source."""
    counts = Counter(replace(row.variant, source="") for row in rows)
    found = []
    for row in rows:
        if counts[replace(row.variant, source="")] > 1:
            source = row.variant.source
            apart = source[:ID_LETTERS] if set(source) <= set("0123456789abcdef") else source
            row = replace(row, variant=replace(row.variant, apart=apart))
        found.append(row)
    return found


def _several_runs(rows: Sequence[EvalRow], evaluations: Sequence[Sequence[PastEvaluation]]) -> list[str]:
    """A note on the rows that stand for several training runs."""
    texts = []
    for row, of_row in zip(rows, evaluations, strict=True):
        trained = {each.training.id for each in of_row if each.training}
        shown = {score.run_id for score in row.scores.values()}
        used = sorted({each.training.id[:ID_LETTERS] for each in of_row if each.training and each.run.id in shown})
        if len(trained) > 1:
            texts.append(f"{row.title}: {' and '.join(used)} of {len(trained)} runs")
    if not texts:
        return []
    more = f"; ... ({len(texts):,} rows in all)" if len(texts) > ROWS_NAMED else ""
    return [
        "Rows with several evaluated training runs show the newest complete evaluation of each benchmark; name runs to "
        f"get a row for each. {'; '.join(texts[:ROWS_NAMED])}{more}."
    ]


def _temperatures(selection: Selection, evaluations: Sequence[PastEvaluation]) -> list[str]:
    """A note on the sampling temperatures, if they differ."""
    shown = set(selection.run_ids)
    temperatures: dict[str, list[str]] = {}
    for each in evaluations:
        if each.run.id in shown and each.run.tags["eval.source"] == "model":
            temperatures.setdefault(each.run.params.get("eval.temperature", "?"), []).append(each.run.id[:ID_LETTERS])
    if len(temperatures) < 2:
        return []
    groups = (f"{value} ({', '.join(ids[:ROWS_NAMED])})" for value, ids in sorted(temperatures.items()))
    return [f"Responses were sampled at different temperatures: {'; '.join(groups)}."]
