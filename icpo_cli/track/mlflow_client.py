"""MLflow's client as the parts of this package use it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# A server that is away must not hold up training; what it misses is kept and sent later.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient as MlflowClient

from icpo_cli.errors import UserError


def get_run(client: MlflowClient, run_id: str) -> Run | None:
    """None where the store has no such run."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None


def is_missing(error: MlflowException) -> bool:
    """What was asked for is not there."""
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Raises UserError where the store cannot be read."""
    try:
        yield
    except Exception as error:  # a store's own errors reach us bare: SQLAlchemy, HTTP, file system
        raise UserError(f"{uri}: cannot be read as an MLflow store: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
