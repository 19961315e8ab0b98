"""Writing a run to MLflow."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from icpo_cli.errors import UserError
from icpo_cli.runs.files import atomic_create
from icpo_cli.runs.journal import JournalEntry
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.mlflow_runs import get_run, user_errors

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
            raise UserError(f"track.parent: {run_id}: no such run in {uri or 'mlflow.db'}")

    @classmethod
    def open(cls, uri: str | None, run_id: str) -> "MlflowStore":
        """Open an existing run and set its status to running. Raises UserError."""
        with user_errors(f"run {run_id}: not in {uri or 'mlflow.db'}"):
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
        self._client.log_artifact(self.run_id, str(path), folder)

    def end(self, status: Status) -> None:
        self._client.set_terminated(self.run_id, status.mlflow)


STORE_ERRORS = (MlflowException, OSError)
"""Errors of a store that worked at the start: it does not answer, is full or is locked."""


def _usable(uri: str | None) -> AbstractContextManager[None]:
    return user_errors(f"track.uri: {uri or 'mlflow.db'}: cannot be used")


def _tracking_uri(uri: str | None) -> str:
    if uri is not None:
        return uri
    database = Path("mlflow.db").resolve()
    if not database.exists():
        _make_database(database)
    return f"sqlite:///{database}"


def _make_database(path: Path) -> None:
    """Atomic, because a database whose creation was cut short by a kill can never be used."""
    with atomic_create(path) as tmp:
        MlflowClient(f"sqlite:///{tmp}").search_experiments(max_results=1)
