"""The run of an evaluation: its record while it goes on, and at its end responses, results, a table and metrics."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.evaluate.export import export_lm_eval
from icpo_cli.evaluate.generate import EvalObserver
from icpo_cli.evaluate.inputs import RESULT_VERSION, PriorRun
from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import EvalResult, TaskResponses, compare, score
from icpo_cli.evaluate.table import HEADERS, group_means, metrics_of, response_rows, rows_of
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.files import write_text
from icpo_cli.runs.parquet import write_table
from icpo_cli.runs.run_dir import Kind, RunDir, Status
from icpo_cli.statistics import PairedDifference
from icpo_cli.tables.document import text_table
from icpo_cli.tables.formats import plain_table
from icpo_cli.text import known
from icpo_cli.track.tracker import Tracker


@dataclass(frozen=True)
class EvalRequest:
    """Options of an evaluation besides its configuration and the source of the responses."""

    watch: Callable[[RunDir], EvalObserver]
    """Makes the observer, once the evaluation's folder is known."""
    benchmarks: tuple[str, ...] = ()
    """Names of benchmarks and groups."""
    against: PriorRun | None = None
    """The evaluation to compare with."""
    export: Path | None = None
    """Folder for files in lm-evaluation-harness's layout."""


@dataclass(frozen=True)
class EvalOutcome:
    """The log of an evaluation: what was evaluated, its status and its results."""

    run_id: str
    folder: Path
    model: str
    """The model's name, as the user gave it."""
    results: tuple[EvalResult, ...]
    missing: dict[str, str]
    """How to get the data of each benchmark without any."""
    unknown: dict[str, tuple[str, ...]]
    """Ids in the responses file that a benchmark does not have, by benchmark."""
    comparisons: dict[str, PairedDifference]
    """Accuracy minus that of `against`, by benchmark."""
    against: str | None
    """The evaluation compared with."""
    exported: Path | None = None
    stopped_by: int = 0
    """The signal that ended it early; 0 if it was completed."""

    @property
    def partial(self) -> bool:
        return any(result.partial for result in self.results)

    def document(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {
            "run_id": self.run_id,
            "model": self.model,
            "results": [result.document() for result in self.results],
            "groups": group_means(self.results),
            "partial": self.partial,
            "missing": self.missing,
            "unknown": {bench: list(ids) for bench, ids in self.unknown.items() if ids},
            "against": self.against,
            "comparisons": [self._comparison(result) for result in self.results if result.bench in self.comparisons],
            "exported": str(self.exported) if self.exported else None,
        }

    def _comparison(self, result: EvalResult) -> dict[str, Any]:
        paired = self.comparisons[result.bench]
        named = {"bench": result.bench, "title": result.title, "n": paired.n}
        return {**named, "ci95": known(paired.interval), **known(paired.numbers)}


@dataclass(frozen=True)
class EvalRun:
    """An evaluation that is going on."""

    config: Config
    model: str
    """The model's name, as the user gave it."""
    missing: dict[str, str]
    """How to get the data of each benchmark without any."""
    request: EvalRequest
    verifier: Verifier
    stop: StopSignal
    tracker: Tracker
    observer: EvalObserver

    def conclude(
        self, parts: Sequence[TaskResponses], unknown: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    ) -> EvalOutcome:
        """Score, compare, and write everything. `unknown`: as in EvalOutcome."""
        self.observer.phase("writing")
        parts = [dataclasses.replace(part, unknown=len(unknown.get(part.task.name, ()))) for part in parts]
        against, results = self.request.against, [score(part, self.config.eval.pass_at) for part in parts]
        exported = None
        if self.request.export is not None:
            scored = list(zip(parts, results, strict=True))
            exported = export_lm_eval(scored, self.model, self.config, self.request.export, datetime.now())
        outcome = EvalOutcome(
            run_id=self.tracker.run_id,
            folder=self.tracker.run.path.resolve(),
            model=self.model,
            results=tuple(results),
            missing=self.missing,
            unknown=dict(unknown),
            comparisons=compare(parts, against.responses, self.verifier) if against else {},
            against=against.run_id if against else None,
            exported=exported,
            stopped_by=self.stop.signal,
        )
        _write(outcome, parts, self.tracker)
        return outcome


@contextmanager
def recorded(
    config: Config,
    model: str,
    facts: Mapping[str, str],
    tasks: Sequence[Task],
    missing: dict[str, str],
    request: EvalRequest,
    verifier: Verifier,
    stop: StopSignal,
    parent: str | None = None,
) -> Iterator[EvalRun]:
    """Open the evaluation's run, below the run `parent`; its final status in MLflow is set however the block ends."""
    tracker = Tracker.create(config, config.eval.output_dir, parent)
    status = Status.FAILED
    try:
        observer = request.watch(tracker.run)
        tracker.warn = observer.note
        data = {
            f"data.{name}.{task.name}": value
            for task in tasks
            for name, value in (("source", task.source), ("fingerprint", task.fingerprint))
        }
        facts = {"model.name": model, **facts, **data, "verifier.version": verifier.version}
        tracker.describe(Kind.EVAL, config, facts)
        for how_to_get in missing.values():
            observer.note(how_to_get)
        yield EvalRun(config, model, missing, request, verifier, stop, tracker, observer)
        status = Status.STOPPED if stop.signal else Status.DONE
    finally:
        tracker.end(status)


def _write(outcome: EvalOutcome, parts: Sequence[TaskResponses], tracker: Tracker) -> None:
    """Write the files, then log to MLflow. The result file is last: with it the evaluation is complete."""
    run = tracker.run
    write_table(response_rows(parts), run.eval_responses_file)
    write_text(run.table_file, plain_table(text_table(HEADERS, rows_of(outcome.results))))
    status = "stopped" if outcome.stopped_by else "complete"
    document = {"version": RESULT_VERSION, "status": status, **outcome.document()}
    write_text(run.result_file, json.dumps(document, indent=2))
    tracker.log(0, metrics_of(outcome.results))
    tracker.tag({"eval.partial": str(outcome.partial).lower()})
    for path in (run.eval_responses_file, run.table_file, run.result_file):
        tracker.log_artifact(path)
