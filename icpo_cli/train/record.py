"""The records that rank 0 writes during a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from icpo_cli.evaluate.heldout import BENCH
from icpo_cli.evaluate.score import Result
from icpo_cli.evaluate.table import metrics_of
from icpo_cli.records import Evaluation, VerdictKind
from icpo_cli.runs.parquet import Row, write_table
from icpo_cli.track.tracker import Tracker


class RunRecord:
    """Writes responses as parquet, metrics to the journal and MLflow; keeps the last values for the final report."""

    def __init__(self, tracker: Tracker, k: int) -> None:
        """`k`: responses a held-out question, by which evaluations before a resume are read back."""
        self.metrics: dict[str, float] = {}
        self.evaluations: dict[int, Evaluation] = {}
        self._tracker = tracker
        for entry in tracker.entries():
            self.metrics |= entry.metrics
            if f"eval/{BENCH}/avg_at_k" in entry.metrics:
                self.evaluations[entry.step] = _evaluation(entry.metrics, k)

    def iteration(self, iteration: int, rows: Sequence[Row], metrics: dict[str, float]) -> dict[str, float]:
        """Store an iteration; returns the metrics that were finite."""
        path = self._tracker.run.responses_file(iteration)
        path.parent.mkdir(exist_ok=True)
        write_table([{"iteration": iteration, **row} for row in rows], path)
        finite = self._tracker.log(iteration, metrics)
        self._tracker.log_artifact(path)
        self.metrics |= finite
        return finite

    def evaluation(self, iteration: int, evaluation: Evaluation) -> None:
        self.evaluations[iteration] = evaluation
        prefix = f"eval/{evaluation.bench}"
        metrics = {
            f"{prefix}/avg_at_k": evaluation.avg_at_k,
            f"{prefix}/stderr": evaluation.stderr,
            f"{prefix}/response_tokens_mean": evaluation.response_tokens_mean,
            "seconds/eval": evaluation.seconds,
        }
        metrics |= {f"{prefix}/verdict/{kind}": float(count) for kind, count in evaluation.verdicts.items()}
        self.metrics |= self._tracker.log(iteration, metrics)

    def benchmark(self, iteration: int, result: Result) -> None:
        self.metrics |= self._tracker.log(iteration, metrics_of([result]))


def _evaluation(metrics: Mapping[str, float], k: int) -> Evaluation:
    """The evaluation that was logged as these metrics."""
    prefix = f"eval/{BENCH}"
    counted = {kind.value: metrics.get(f"{prefix}/verdict/{kind}") for kind in VerdictKind}
    verdicts = {kind: int(count) for kind, count in counted.items() if count is not None}
    return Evaluation(
        bench=BENCH,
        n=sum(verdicts.values()) // k,
        k=k,
        avg_at_k=metrics[f"{prefix}/avg_at_k"],
        stderr=metrics.get(f"{prefix}/stderr", math.nan),
        verdicts=verdicts,
        response_tokens_mean=metrics[f"{prefix}/response_tokens_mean"],
        seconds=metrics["seconds/eval"],
    )


def evaluation_json(evaluation: Evaluation) -> dict[str, object]:
    """The fields of an evaluation as `--json` prints them."""
    return {key: value for key, value in asdict(evaluation).items() if key != "bench"}
