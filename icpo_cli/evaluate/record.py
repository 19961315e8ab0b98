"""What an evaluation writes down: its run; at its end parquet, JSON, a table, metrics, and files for other tools."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.evaluate.compare import Comparison, compare, others_of
from icpo_cli.evaluate.export import ExportedBench, ExportedQuestion, export_lm_eval
from icpo_cli.evaluate.load import Loaded
from icpo_cli.evaluate.observer import Observer
from icpo_cli.evaluate.past import RESPONSES, RESULT, Past
from icpo_cli.evaluate.plan import template_of
from icpo_cli.evaluate.score import Part, Result, score
from icpo_cli.evaluate.table import HEADERS, group_means, metrics_of, response_rows, result_json, rows_of
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.files import atomic_write
from icpo_cli.runs.parquet import write_table
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.tables.markdown import plain_table
from icpo_cli.tables.table import text_table
from icpo_cli.track.tracker import Tracker

Watch = Callable[[Path], Observer]
"""Called once the evaluation's folder is known."""


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found, and where it stands."""

    run_id: str
    folder: Path
    model: str
    """As the user named it."""
    results: tuple[Result, ...]
    missing: dict[str, str]
    """Benchmarks whose data is not to be had, and how to get it."""
    unknown: dict[str, tuple[str, ...]]
    """Ids of given responses that a benchmark has not."""
    comparisons: tuple[Comparison, ...]
    against: str | None
    """The evaluation compared with."""
    exported: Path | None = None
    stopped_by: int = 0
    """The signal that ended it early; 0 when it came to its end."""

    @property
    def partial(self) -> bool:
        return any(result.partial for result in self.results)

    def document(self) -> dict[str, Any]:
        """What --json prints."""
        return {
            "run_id": self.run_id,
            "model": self.model,
            "results": [result_json(result) for result in self.results],
            "groups": group_means(self.results),
            "partial": self.partial,
            "missing": self.missing,
            "unknown": {bench: list(ids) for bench, ids in self.unknown.items() if ids},
            "against": self.against,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "exported": str(self.exported) if self.exported else None,
        }


@dataclass(frozen=True)
class Wish:
    """What is asked beside the configuration."""

    against: Past | None = None
    export: Path | None = None


@dataclass(frozen=True)
class Record:
    """The evaluation's record while it is open."""

    config: Config
    tracker: Tracker
    observer: Observer
    stop: StopSignal

    def conclude(
        self,
        model: str,
        parts: Sequence[Part],
        unknown: Mapping[str, tuple[str, ...]],
        missing: dict[str, str],
        wish: Wish,
        verifier: Verifier,
    ) -> Outcome:
        """Score, compare and write all down."""
        self.observer.phase("writing")
        parts = [
            dataclasses.replace(part, unknown=part.unknown + len(unknown.get(part.task.name, ()))) for part in parts
        ]
        outcome = Outcome(
            run_id=self.tracker.run_id,
            folder=self.tracker.run.path.resolve(),
            model=model,
            results=tuple(score(part, self.config.eval.pass_at) for part in parts),
            missing=missing,
            unknown=dict(unknown),
            comparisons=tuple(compare(parts, others_of(wish.against, parts, verifier))) if wish.against else (),
            against=wish.against.run_id if wish.against else None,
            stopped_by=self.stop.signal,
        )
        if wish.export is not None:
            outcome = dataclasses.replace(outcome, exported=_export(outcome, parts, self.config, wish.export))
        _write(outcome, parts, self.tracker)
        return outcome


@contextmanager
def recorded(
    config: Config,
    parent: str | None,
    facts: Mapping[str, str],
    loaded: Loaded,
    verifier: Verifier,
    stop: StopSignal,
    watch: Watch,
) -> Iterator[Record]:
    """The evaluation's run, and its status in MLflow however the block ends."""
    tracker = Tracker.create(config, config.eval.output_dir, parent)
    status = Status.FAILED
    try:
        observer = watch(tracker.run.path)
        tracker.warn = observer.note
        benchmarks = {
            f"data.{what}.{each.benchmark.name}": value
            for each in loaded.benchmarks
            for what, value in (("source", each.source), ("fingerprint", each.fingerprint))
        }
        tracker.describe(Kind.EVAL, config, {**facts, **benchmarks, "verifier.version": verifier.version})
        for why in loaded.missing.values():
            observer.note(why)
        yield Record(config, tracker, observer, stop)
        status = Status.STOPPED if stop.signal else Status.DONE
    finally:
        tracker.end(status)


def _write(outcome: Outcome, parts: Sequence[Part], tracker: Tracker) -> None:
    """Into the run's folder, then to MLflow. The result file comes last: with it the evaluation is whole."""
    folder = tracker.run.path
    write_table(response_rows(parts), folder / RESPONSES)
    table = plain_table(text_table(HEADERS, rows_of(outcome.results)))
    (folder / "table.md").write_text(table, encoding="utf-8")
    with atomic_write(folder / RESULT) as tmp:
        tmp.write_text(json.dumps(outcome.document(), indent=2), encoding="utf-8")
    tracker.log(0, metrics_of(outcome.results))
    tracker.tag({"eval.partial": str(outcome.partial).lower()})
    for name in (RESPONSES, "table.md", RESULT):
        tracker.log_artifact(folder / name)


def _export(outcome: Outcome, parts: Sequence[Part], config: Config, folder: Path) -> Path:
    """In lm-evaluation-harness's layout."""
    sampling = {"temperature": config.eval.temperature, "max_gen_toks": config.eval.max_response_tokens}
    benches = [
        ExportedBench(
            bench=result.bench,
            title=result.title,
            version=part.task.benchmark.version,
            count=len(part.task.loaded.questions),
            n=result.n,
            k=result.k,
            avg_at_k=result.avg_at_k,
            stderr=result.stderr,
            questions=tuple(_exported(part)),
            generation={**sampling, "do_sample": config.eval.temperature > 0},
            template=template_of(config),
            confidential=part.task.benchmark.confidential,
        )
        for part, result in zip(parts, outcome.results, strict=True)
    ]
    seconds = sum(result.seconds for result in outcome.results)
    return export_lm_eval(benches, outcome.model, folder, datetime.now(), seconds)


def _exported(part: Part) -> list[ExportedQuestion]:
    questions = []
    for question, keys in zip(part.task.questions, part.task.grid, strict=True):
        there = [key for key in keys if key in part.responses and key in part.verdicts]
        if there:
            verdicts = [part.verdicts[key] for key in there]
            questions.append(
                ExportedQuestion(
                    id=question.id,
                    prompt=question.text,
                    target=question.gold.answer,
                    responses=tuple(part.responses[key].text for key in there),
                    answers=tuple(verdict.extracted for verdict in verdicts),
                    correct=tuple(verdict.correct for verdict in verdicts),
                )
            )
    return questions
