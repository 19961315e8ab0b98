"""What an evaluation writes down at its end: parquet, JSON, a table, metrics; and export for other tools."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.evaluate.compare import Comparison
from icpo_cli.evaluate.export import ExportedBench, ExportedQuestion, export_lm_eval
from icpo_cli.evaluate.past import RESPONSES, RESULT
from icpo_cli.evaluate.plan import template_of
from icpo_cli.evaluate.score import Part, Result
from icpo_cli.evaluate.table import HEADERS, group_means, metrics_of, response_rows, result_json, rows_of
from icpo_cli.track.parquet import write_table
from icpo_cli.track.tracker import Tracker


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


def write_outcome(outcome: Outcome, parts: Sequence[Part], tracker: Tracker) -> None:
    """Into the run's folder, then to MLflow. The result file comes last: with it the evaluation is whole."""
    folder = tracker.folder
    write_table(response_rows(parts), folder / RESPONSES)
    table = [HEADERS, *rows_of(outcome.results)]
    (folder / "table.md").write_text("".join(_markdown(row) for row in table), encoding="utf-8")
    aside = folder / f"{RESULT}.tmp"
    aside.write_text(json.dumps(outcome.document(), indent=2), encoding="utf-8")
    aside.replace(folder / RESULT)
    tracker.log(0, metrics_of(outcome.results))
    tracker.tag({"eval.partial": str(outcome.partial).lower()})
    for name in (RESPONSES, "table.md", RESULT):
        tracker.log_artifact(folder / name)


def export(outcome: Outcome, parts: Sequence[Part], config: Config, folder: Path) -> Path:
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


def _markdown(row: Sequence[str]) -> str:
    line = "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n"
    return line + "|" + " --- |" * len(row) + "\n" if row is HEADERS else line
