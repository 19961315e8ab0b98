"""What rank 0 writes down as the run goes."""

from collections.abc import Sequence
from dataclasses import asdict

from icpo_cli.records import Evaluation
from icpo_cli.track.tracker import Tracker
from icpo_cli.train.table import Row, write_table


class RunRecord:
    """Responses as parquet, metrics to the journal and MLflow; keeps the newest of each for the closing report."""

    def __init__(self, tracker: Tracker) -> None:
        self.metrics: dict[str, float] = {}
        self.evaluations: dict[int, Evaluation] = {}
        self._tracker = tracker

    def iteration(self, iteration: int, rows: Sequence[Row], metrics: dict[str, float]) -> dict[str, float]:
        """Store an iteration; returns the metrics that were finite."""
        path = self._tracker.folder / "responses" / f"iteration-{iteration:05d}.parquet"
        write_table([{"iteration": iteration, **row} for row in rows], path)
        finite = self._tracker.log(iteration, metrics)
        self._tracker.log_artifact(path, "responses")
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


def evaluation_json(evaluation: Evaluation) -> dict[str, object]:
    """The fields of an evaluation as `--json` prints them."""
    return {key: value for key, value in asdict(evaluation).items() if key != "bench"}
