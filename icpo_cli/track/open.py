"""From the name of a store to what reads it."""

from pathlib import Path

from icpo_cli.errors import UserError
from icpo_cli.track.read import RunStore
from icpo_cli.track.sqlite_runs import SqliteRuns

DEFAULT = "mlflow.db"
SQLITE = "sqlite:///"


def open_store(uri: str | None) -> RunStore:
    """The store that track.uri, or --store, names: an MLflow URI or the path of a database; None: mlflow.db here.

    Nothing is made where there is none. Raises UserError.
    """
    name = DEFAULT if uri is None else uri.removeprefix(SQLITE).split("?")[0]
    if uri is None or uri.startswith(SQLITE) or Path(uri).is_file():
        return SqliteRuns(Path(name))
    if ":" not in uri and not Path(uri).is_dir():
        raise UserError(f"{uri}: no such MLflow store: give a database, a folder or a server's address")
    from icpo_cli.track.mlflow_runs import MlflowRuns

    return MlflowRuns(uri)


def mlflow_uri(uri: str | None) -> str:
    """The same store's name for MLflow itself."""
    if uri is not None and not Path(uri).is_file():
        return uri
    return f"{SQLITE}{Path(uri or DEFAULT).resolve()}"
