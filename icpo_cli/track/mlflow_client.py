"""MLflow's client: its settings, its errors, and artifacts that are on another machine."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

# A server that does not answer must not hold up training; records are kept and sent later.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient as MlflowClient

from icpo_cli.errors import UserError


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
