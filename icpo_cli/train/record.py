"""The records that rank 0 writes during a run."""

import math
from collections.abc import Mapping, Sequence

from icpo_cli.evaluate.plan import HELDOUT, HELDOUT_TITLE
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.evaluate.table import metrics_of
from icpo_cli.records import VerdictKind
from icpo_cli.runs.parquet import Row, write_table
from icpo_cli.track.tracker import Tracker


class RunRecord:
    """Writes responses as parquet, metrics to the journal and MLflow; keeps the last values for the final report."""

    def __init__(self, tracker: Tracker, k: int) -> None:
        """`k`: responses per held-out question, by which evaluations before a resume are read back."""
        self.metrics: dict[str, float] = {}
        self.evaluations: dict[int, EvalResult] = {}
        self._tracker = tracker
        for entry in tracker.entries():
            self.metrics |= entry.metrics
            if f"eval/{HELDOUT}/avg_at_k" in entry.metrics:
                self.evaluations[entry.step] = _heldout_result(entry.metrics, k)

    def iteration(self, iteration: int, rows: Sequence[Row], metrics: dict[str, float]) -> dict[str, float]:
        """Store an iteration; returns the metrics that were finite."""
        path = self._tracker.run.responses_file(iteration)
        path.parent.mkdir(exist_ok=True)
        write_table([{"iteration": iteration, **row} for row in rows], path)
        finite = self._tracker.log(iteration, metrics)
        self._tracker.log_artifact(path)
        self.metrics |= finite
        return finite

    def evaluation(self, iteration: int, result: EvalResult) -> None:
        """Log a task's result; fewer metrics for the held-out questions, which are evaluated often."""
        if result.bench == HELDOUT:
            self.evaluations[iteration] = result
            metrics = _heldout_metrics(result)
        else:
            metrics = metrics_of([result])
        self.metrics |= self._tracker.log(iteration, metrics)


def _heldout_metrics(result: EvalResult) -> dict[str, float]:
    prefix = f"eval/{HELDOUT}"
    metrics = {
        f"{prefix}/avg_at_k": result.avg_at_k,
        f"{prefix}/stderr": result.stderr,
        f"{prefix}/response_tokens_mean": result.response_tokens_mean,
        "seconds/eval": result.seconds,
    }
    return metrics | {f"{prefix}/verdict/{kind}": float(count) for kind, count in result.verdicts.items()}


def _heldout_result(metrics: Mapping[str, float], k: int) -> EvalResult:
    """The result that was logged as these metrics."""
    prefix = f"eval/{HELDOUT}"
    counted = {kind.value: metrics.get(f"{prefix}/verdict/{kind}") for kind in VerdictKind}
    verdicts = {kind: int(count) for kind, count in counted.items() if count is not None}
    return EvalResult(
        bench=HELDOUT,
        title=HELDOUT_TITLE,
        n=sum(verdicts.values()) // k,
        k=k,
        avg_at_k=metrics[f"{prefix}/avg_at_k"],
        stderr=metrics.get(f"{prefix}/stderr", math.nan),
        verdicts=verdicts,
        response_tokens_mean=metrics[f"{prefix}/response_tokens_mean"],
        seconds=metrics["seconds/eval"],
    )


def heldout_json(result: EvalResult) -> dict[str, object]:
    """The fields of a held-out result that `--json` prints."""
    return {
        "n": result.questions,
        "k": result.k,
        "avg_at_k": result.avg_at_k,
        "stderr": result.stderr,
        "verdicts": result.verdicts,
        "response_tokens_mean": result.response_tokens_mean,
        "seconds": result.seconds,
    }
