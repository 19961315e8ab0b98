"""Past runs of any MLflow store, read through MLflow's own client."""

import math
import sys
from collections.abc import Iterator, Sequence

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from icpo_cli.runs.run_dir import Status
from icpo_cli.track.mlflow_client import MlflowClient, get_run, is_missing, reading
from icpo_cli.track.read import PastRun, Points, RunStore, end_of, facts_of

PAGE = 1000


class MlflowRuns(RunStore):
    """Reads through MlflowClient: a server, a folder of files, another database."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        with reading(uri):
            self._client = MlflowClient(uri)

    def runs(self) -> list[PastRun]:
        with reading(self._uri):
            experiments = {each.experiment_id: each.name for each in self._client.search_experiments()}
            found = [_past(run, experiments[run.info.experiment_id]) for run in self._all_runs(list(experiments))]
        return sorted(found, key=lambda run: (-run.start_ms, run.id))

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        with reading(self._uri):
            points = {key: self._points(run_id, key) for key in dict.fromkeys(metrics)}
        return {key: found for key, found in points.items() if found}

    def _artifact_root(self, run_id: str) -> str | None:
        with reading(self._uri):
            run = get_run(self._client, run_id)
        return run.info.artifact_uri if run else None

    def _all_runs(self, experiments: list[str]) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs(experiments, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _points(self, run_id: str, key: str) -> Points:
        """The points of one metric; empty if the run lacks it or was deleted meanwhile."""
        try:
            history = self._client.get_metric_history(run_id, key)
        except MlflowException as error:
            if not is_missing(error):
                raise
            return ()
        finite = [point for point in history if _is_finite(point.value)]
        ordered = sorted(finite, key=lambda point: (point.step, point.timestamp, point.value))
        return tuple({point.step: point.value for point in ordered}.items())


def _past(run: Run, experiment: str) -> PastRun:
    tags = run.data.tags
    return PastRun(
        id=run.info.run_id,
        name=run.info.run_name,
        experiment=experiment,
        status=Status.of_mlflow(run.info.status),
        start_ms=run.info.start_time,
        end_ms=end_of(run.info.status, run.info.end_time),
        parent=tags.get(MLFLOW_PARENT_RUN_ID),
        params=run.data.params,
        tags=facts_of(tags),
        metrics={key: value for key, value in run.data.metrics.items() if _is_finite(value)},
        last_step=max((metric.step for metric in run.data._metric_objs), default=0),
    )


def _is_finite(value: float) -> bool:
    """MLflow stores infinity as the greatest finite float."""
    return math.isfinite(value) and abs(value) < sys.float_info.max
