"""Artifacts that are not on this machine, through MLflow."""

from pathlib import Path

from icpo_cli.track.mlflow_client import MlflowClient, reading


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
    """An artifact, brought under `into`; None where there is none. Raises UserError."""
    with reading(uri):
        client = MlflowClient(uri)
        parent = str(Path(path).parent)
        if all(each.path != path for each in client.list_artifacts(run_id, None if parent == "." else parent)):
            return None
        folder = into / run_id
        folder.mkdir(exist_ok=True)
        return Path(client.download_artifacts(run_id, path, str(folder)))
