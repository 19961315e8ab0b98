"""Writing a run to any MLflow store and reading past runs from one, with MLflow's own client."""

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

# A server that does not answer must not hold up training; records are kept and sent later.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from icpo_cli.errors import UserError
from icpo_cli.runs.files import atomic_create
from icpo_cli.runs.journal import JournalEntry
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.read import DEFAULT, SQLITE, PastRun, Points, RunStore, end_of, facts_of, local_folder, mlflow_uri

PAGE = 1000
PARAMS_A_CALL = 100
METRICS_A_CALL = 1000
LONGEST_PARAM = 6000


class MlflowStore:
    """One MLflow run. Every method may raise MlflowException or OSError; the Tracker decides what that means."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    @classmethod
    def create(cls, uri: str | None, experiment: str, name: str, parent: str | None = None) -> "MlflowStore":
        """Create a run, a child of `parent` if the store has that run. Raises UserError if the store cannot be used."""
        with _usable(uri):
            client = MlflowClient(_tracking_uri(uri))
            found_parent = get_run(client, parent) if parent else None
            if found_parent is not None:
                tags = {MLFLOW_PARENT_RUN_ID: found_parent.info.run_id}
                run = client.create_run(found_parent.info.experiment_id, run_name=name, tags=tags)
                return cls(client, run.info.run_id)
            found = client.get_experiment_by_name(experiment)
            location = Path("mlartifacts").resolve().as_uri() if uri is None else None
            experiment_id = found.experiment_id if found else client.create_experiment(experiment, location)
            return cls(client, client.create_run(experiment_id, run_name=name).info.run_id)

    @staticmethod
    def check_parent(uri: str | None, run_id: str) -> None:
        """Raises UserError if the store cannot be used or has no such run."""
        with _usable(uri):
            found = get_run(MlflowClient(_tracking_uri(uri)), run_id)
        if found is None:
            raise UserError(f"track.parent: {run_id}: no such run in {uri or DEFAULT}")

    @staticmethod
    def check(uri: str | None, experiment: str) -> str:
        """Text on a store that can be used; writes a tag of the experiment if that exists. Raises UserError."""
        if uri is None and not Path(DEFAULT).exists():
            return f"{DEFAULT} will be created in {Path.cwd()}"
        with _usable(uri):
            client = MlflowClient(_tracking_uri(uri))
            found = client.get_experiment_by_name(experiment)
            if found is None:
                return f"{uri or DEFAULT} was read; experiment {experiment} does not exist yet, so nothing was written"
            client.set_experiment_tag(found.experiment_id, "icpo.doctor", "checked")
            return f"{uri or DEFAULT} was read and written"

    @classmethod
    def open(cls, uri: str | None, run_id: str) -> "MlflowStore":
        """Open an existing run and set its status to running. Raises UserError."""
        with user_errors(f"run {run_id}: not in {uri or DEFAULT}"):
            client = MlflowClient(_tracking_uri(uri))
            client.get_run(run_id)
            client.update_run(run_id, status="RUNNING")
            return cls(client, run_id)

    def log_params(self, params: Mapping[str, object]) -> None:
        rows = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in params.items()]
        for start in range(0, len(rows), PARAMS_A_CALL):
            self._client.log_batch(self.run_id, params=rows[start : start + PARAMS_A_CALL])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_entries(self, entries: Sequence[JournalEntry]) -> None:
        """Log the metrics of several steps, in order."""
        rows = [
            Metric(key, value, entry.time_ms, entry.step) for entry in entries for key, value in entry.metrics.items()
        ]
        for start in range(0, len(rows), METRICS_A_CALL):
            self._client.log_batch(self.run_id, metrics=rows[start : start + METRICS_A_CALL])

    def logged(self) -> dict[int, dict[str, float]]:
        """All metrics that the store has, by step: {step: {metric: newest value}}."""
        held: dict[int, dict[str, float]] = {}
        for key in self._client.get_run(self.run_id).data.metrics:
            for metric in self._client.get_metric_history(self.run_id, key):
                held.setdefault(metric.step, {})[key] = metric.value
        return held

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A table of responses, which is large and never changed in place, is stored once where the file system can.

        The artifact is then a second name of the file (a hard link), so either may be deleted.
        """
        if path.suffix == ".parquet" and self._link(path, folder):
            return
        self._client.log_artifact(self.run_id, str(path), folder)

    def _link(self, path: Path, folder: str | None) -> bool:
        """Whether the artifact could be made a hard link: in a local store, on the file's own file system."""
        root = local_folder(self._client.get_run(self.run_id).info.artifact_uri)
        if root is None:
            return False
        target = root / (folder or "") / path.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.hardlink_to(path)
        except OSError:
            return False
        return True

    def end(self, status: Status) -> None:
        self._client.set_terminated(self.run_id, status.mlflow)


STORE_ERRORS = (MlflowException, OSError)
"""Errors of a store that worked at the start: it does not answer, is full or is locked."""


@contextmanager
def _usable(uri: str | None) -> Iterator[None]:
    with user_errors(f"track.uri: {uri or DEFAULT}: cannot be used"):
        if uri is not None and uri.startswith(SQLITE):
            _check_file(Path(uri.removeprefix(SQLITE)))
        yield


def _check_file(database: Path) -> None:
    """Raise OSError at once if the file cannot be written or created; MLflow would try for two minutes."""
    if database.exists():
        database.open("ab").close()
    elif database.parent.is_dir():
        with TemporaryFile(dir=database.parent):
            pass


def _tracking_uri(uri: str | None) -> str:
    database = Path(DEFAULT).resolve()
    if uri is None and not database.exists():
        # Atomic, because a database whose creation was cut short by a kill can never be used.
        with atomic_create(database) as tmp:
            MlflowClient(f"{SQLITE}{tmp}").search_experiments(max_results=1)
    return mlflow_uri(uri)


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


def get_run(client: MlflowClient, run_id: str) -> Run | None:
    """The run of that id; None if the store has none."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None


def is_missing(error: MlflowException) -> bool:
    """Whether MLflow says that the run or artifact does not exist."""
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


def reading(uri: str) -> AbstractContextManager[None]:
    return user_errors(f"{uri}: cannot be read as an MLflow store")


@contextmanager
def user_errors(what: str) -> Iterator[None]:
    """Turns any error of the block into a UserError that begins with `what`."""
    try:
        yield
    except Exception as error:  # stores raise errors of SQLAlchemy, HTTP and the file system
        raise UserError(f"{what}: {' '.join(str(error).split())[:300] or type(error).__name__}") from error


def remote_names(uri: str, run_id: str) -> list[str]:
    """The paths of all artifacts of a run that are files, sorted. Raises UserError."""
    with reading(uri):
        client = MlflowClient(uri)
        folders, names = [""], list[str]()
        while folders:
            for each in client.list_artifacts(run_id, folders.pop() or None):
                (folders if each.is_dir else names).append(each.path)
        return sorted(names)


def download(uri: str, run_id: str, path: str, into: Path) -> Path | None:
    """Download an artifact below `into`; None if it does not exist. Raises UserError."""
    with reading(uri):
        client = MlflowClient(uri)
        parent = str(Path(path).parent)
        if all(each.path != path for each in client.list_artifacts(run_id, None if parent == "." else parent)):
            return None
        folder = into / run_id
        folder.mkdir(exist_ok=True)
        return Path(client.download_artifacts(run_id, path, str(folder)))
