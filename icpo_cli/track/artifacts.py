"""A run's artifacts on this machine: where they are, or brought here."""

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse


class Artifacts:
    """Of one store. What has to be brought here is kept as long as this object is."""

    def __init__(self, uri: str, root_of: Callable[[str], str | None], beside: Path | None = None) -> None:
        """`uri`: MLflow's name of the store. `root_of`: from a run's id to the address of its artifacts; None where
        there is no such run. `beside`: where the store's database is."""
        self._uri = uri
        self._root_of = root_of
        self._beside = beside

    def names(self, run_id: str) -> list[str]:
        """The paths of all files of a run, sorted. Raises UserError."""
        folders = self._folders(run_id)
        if folders is None:
            from icpo_cli.track.mlflow_artifacts import remote_names

            return remote_names(self._uri, run_id)
        folder = next((folder for folder in folders if folder.is_dir()), None)
        files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        return sorted(path.relative_to(str(folder)).as_posix() for path in files)

    def find(self, run_id: str, path: str) -> Path | None:
        """A file or folder of a run; None where there is none. Raises UserError."""
        folders = self._folders(run_id)
        if folders is None:
            from icpo_cli.track.mlflow_artifacts import download

            return download(self._uri, run_id, path, Path(self._kept.name))
        return next((folder / path for folder in folders if (folder / path).exists()), None)

    def _folders(self, run_id: str) -> list[Path] | None:
        """Where they may be on this machine; None where MLflow has to bring them here."""
        root = self._root_of(run_id)
        if root is None:
            return []
        address = urlparse(root)
        if address.scheme not in ("", "file"):
            return None
        folders = [Path(unquote(address.path))]
        if self._beside is not None:  # a store that was copied or moved together with its artifacts
            folders.append(self._beside / "mlartifacts" / run_id / "artifacts")
        return folders

    @cached_property
    def _kept(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="icpo-artifacts-")
