"""Past runs of any MLflow store, through MLflow's own client."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from icpo_cli.errors import UserError
from icpo_cli.track.artifacts import Artifacts
from icpo_cli.track.read import PastRun, Points, end_of, facts_of

PAGE = 1000


class MlflowRuns:
    """Reads through MlflowClient: a server, a folder of files, another database."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._artifacts = Artifacts(uri)
        with _told(uri):
            self._client = MlflowClient(uri)

    def runs(self) -> list[PastRun]:
        with _told(self._uri):
            experiments = {each.experiment_id: each.name for each in self._client.search_experiments()}
            found = [_past(run, experiments[run.info.experiment_id]) for run in self._all_runs(list(experiments))]
        return sorted(found, key=lambda run: (-run.start_ms, run.id))

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        with _told(self._uri):
            points = {key: self._points(run_id, key) for key in dict.fromkeys(metrics)}
        return {key: found for key, found in points.items() if found}

    def artifacts(self, run_id: str) -> list[str]:
        root = self._root(run_id)
        return self._artifacts.names(run_id, root) if root else []

    def artifact(self, run_id: str, path: str) -> Path | None:
        root = self._root(run_id)
        return self._artifacts.find(run_id, root, path) if root else None

    def _root(self, run_id: str) -> str | None:
        """The address of a run's artifacts; None where there is no such run."""
        with _told(self._uri):
            run = _run(self._client, run_id)
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
        """Of one metric; none where the run, which may have been deleted meanwhile, has none."""
        try:
            history = self._client.get_metric_history(run_id, key)
        except MlflowException as error:
            if not _is_missing(error):
                raise
            return ()
        finite = [point for point in history if _is_finite(point.value)]
        ordered = sorted(finite, key=lambda point: (point.step, point.timestamp, point.value))
        return tuple({point.step: point.value for point in ordered}.items())


def remote_names(uri: str, run_id: str) -> list[str]:
    """The paths of all artifacts of a run that are files, sorted. Raises UserError."""
    with _told(uri):
        client = MlflowClient(uri)
        folders, names = [""], list[str]()
        while folders:
            for each in client.list_artifacts(run_id, folders.pop() or None):
                (folders if each.is_dir else names).append(each.path)
        return sorted(names)


def download(uri: str, run_id: str, path: str, into: Path) -> Path | None:
    """An artifact that is not on this machine, brought under `into`; None where there is none. Raises UserError."""
    with _told(uri):
        client = MlflowClient(uri)
        parent = str(Path(path).parent)
        if all(each.path != path for each in client.list_artifacts(run_id, None if parent == "." else parent)):
            return None
        folder = into / run_id
        folder.mkdir(exist_ok=True)
        return Path(client.download_artifacts(run_id, path, str(folder)))


def _past(run: Run, experiment: str) -> PastRun:
    tags = run.data.tags
    return PastRun(
        id=run.info.run_id,
        name=run.info.run_name,
        experiment=experiment,
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=end_of(run.info.status, run.info.end_time),
        parent=tags.get(MLFLOW_PARENT_RUN_ID),
        params=run.data.params,
        tags=facts_of(tags),
        metrics={key: value for key, value in run.data.metrics.items() if _is_finite(value)},
        last_step=max((metric.step for metric in run.data._metric_objs), default=0),
    )


def _run(client: MlflowClient, run_id: str) -> Run | None:
    """None where the store has no such run."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if not _is_missing(error):
            raise
        return None


def _is_missing(error: MlflowException) -> bool:
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


def _is_finite(value: float) -> bool:
    """MLflow stores infinity as the greatest number there is."""
    return math.isfinite(value) and abs(value) < sys.float_info.max


@contextmanager
def _told(uri: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a store's own errors reach us bare: SQLAlchemy, HTTP, file system
        raise UserError(f"{uri}: cannot be read as an MLflow store: {' '.join(str(error).split())[:300]}") from error
