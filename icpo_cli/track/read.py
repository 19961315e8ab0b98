"""Reading past runs of an MLflow store: the records, the interface of all readers, and the reader for a URI."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

from icpo_cli.errors import UserError
from icpo_cli.runs.checkpoints import iteration_in
from icpo_cli.runs.run_dir import KIND, MODEL_ITERATION, Kind, Status

DEFAULT = "mlflow.db"
SQLITE = "sqlite:///"
Points = tuple[tuple[int, float], ...]
"""(step, value), steps rising; of values for the same step the newest."""


@dataclass(frozen=True)
class PastRun:
    """One run as the store has it. Metrics that are not finite are left out."""

    id: str
    name: str
    experiment: str
    status: Status
    start_ms: int
    """Milliseconds since 1970."""
    end_ms: int | None
    """None while it runs."""
    parent: str | None
    """Id of its parent run."""
    params: Mapping[str, str]
    """The flattened configuration: {"method.delta": "0.4"}."""
    tags: Mapping[str, str]
    """Facts: model, data fingerprints, code and package versions; without MLflow's own (mlflow.*)."""
    metrics: Mapping[str, float]
    """The newest value of each."""
    last_step: int = 0
    """The greatest step of any metric: the iterations of a training run so far."""

    @property
    def kind(self) -> Kind:
        """The recorded kind; of older runs, inferred from tags that only evaluations and studies have."""
        recorded = self.tags.get(KIND)  # a store may contain other programs' runs
        if recorded in list(Kind):
            return Kind(recorded)
        if "eval.source" in self.tags:
            return Kind.EVAL
        return Kind.STUDY if "study.name" in self.tags else Kind.TRAIN

    @property
    def evaluated_iteration(self) -> int | None:
        """Iteration of the evaluated checkpoint; None for other models and other kinds of run.

        Older runs did not record it: for those it is part of the model's name.
        """
        recorded = self.tags.get(MODEL_ITERATION, "")
        return int(recorded) if recorded.isdecimal() else iteration_in(self.tags.get("model.name", ""))


class RunStore(ABC):
    """Reads while others write. Every method raises UserError if the store cannot be read."""

    def __init__(self, uri: str, database: Path | None = None) -> None:
        """`uri`: MLflow's name of the store. `database`: its file, if it is one."""
        self._uri = uri
        self._database = database

    @abstractmethod
    def runs(self) -> list[PastRun]:
        """All runs that are not deleted, newest first."""

    @abstractmethod
    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        """The points of those metrics that the run has."""

    @abstractmethod
    def _artifact_root(self, run_id: str) -> str | None:
        """The address of a run's artifacts; None if there is no such run."""

    def artifacts(self, run_id: str) -> list[str]:
        """The paths of all files among the run's artifacts, sorted."""
        folders = self._folders(run_id)
        if folders is None:
            from icpo_cli.track.mlflow_store import remote_names

            return remote_names(self._uri, run_id)
        folder = next((folder for folder in folders if folder.is_dir()), None)
        files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        return sorted(path.relative_to(str(folder)).as_posix() for path in files)

    def artifact(self, run_id: str, path: str) -> Path | None:
        """A file or folder of the run's artifacts, downloaded if it is on another machine; None if it does not exist.

        Downloads live as long as this object.
        """
        folders = self._folders(run_id)
        if folders is None:
            from icpo_cli.track.mlflow_store import download

            return download(self._uri, run_id, path, Path(self._downloads.name))
        return next((folder / path for folder in folders if (folder / path).exists()), None)

    def _folders(self, run_id: str) -> list[Path] | None:
        """Folders that may contain the artifacts; None if they are on another machine."""
        root = self._artifact_root(run_id)
        if root is None:
            return []
        folder = local_folder(root)
        if folder is None:
            return None
        folders = [folder]
        if self._database is not None:  # a store that was copied or moved together with its artifacts
            folders.append(self._database.parent / "mlartifacts" / run_id / "artifacts")
        return folders

    @cached_property
    def _downloads(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="icpo-artifacts-")


def local_folder(address: str) -> Path | None:
    """The folder of an artifact address; None if it is on another machine."""
    parsed = urlparse(address)
    return Path(unquote(parsed.path)) if parsed.scheme in ("", "file") else None


def open_store(uri: str | None) -> RunStore:
    """The store that track.uri or --store names: an MLflow URI, or the path of a database; None: mlflow.db here.

    Creates nothing. Raises UserError.
    """
    from icpo_cli.track.sqlite_runs import SqliteRuns

    name = DEFAULT if uri is None else uri.removeprefix(SQLITE).split("?")[0]
    if uri is None or uri.startswith(SQLITE) or Path(uri).is_file():
        return SqliteRuns(Path(name))
    if ":" not in uri and not Path(uri).is_dir():
        raise UserError(f"{uri}: no such MLflow store: give a database, a folder or a server's address")
    from icpo_cli.track.mlflow_store import MlflowRuns

    return MlflowRuns(uri)


def mlflow_uri(uri: str | None) -> str:
    """The same store's name for MLflow itself."""
    if uri is not None and not Path(uri).is_file():
        return uri
    return f"{SQLITE}{Path(uri or DEFAULT).resolve()}"


def facts_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without MLflow's own."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


def end_of(status: str, end_ms: int | None) -> int | None:
    """The end of a run; None while it runs, when MLflow still has the end from before a resume."""
    return None if status == "RUNNING" else end_ms
