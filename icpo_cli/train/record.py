"""The records that rank 0 writes during a run."""

from collections.abc import Sequence

from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.evaluate.table import logged_result, metrics_of
from icpo_cli.runs.parquet import Row, write_table
from icpo_cli.track.tracker import Tracker


class RunRecord:
    """Writes responses as parquet, metrics to the journal and MLflow; keeps the last values for the final report."""

    def __init__(self, tracker: Tracker, tasks: Sequence[Task]) -> None:
        """`tasks`: those whose evaluations before a resume are read back from the journal."""
        self.metrics: dict[str, float] = {}
        self.evaluations: dict[int, dict[str, EvalResult]] = {}
        """By iteration and task."""
        self._tracker = tracker
        for entry in tracker.entries():
            self.metrics |= entry.metrics
            for task in tasks:
                if (result := logged_result(task, entry.metrics)) is not None:
                    self.evaluations.setdefault(entry.step, {})[task.name] = result

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
        """Log a task's result."""
        self.evaluations.setdefault(iteration, {})[result.bench] = result
        self.metrics |= self._tracker.log(iteration, metrics_of([result]))
