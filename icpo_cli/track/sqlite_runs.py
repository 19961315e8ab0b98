"""Past runs read directly from MLflow's sqlite database: a thousand runs in the time that importing MLflow takes."""

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.read import PastRun, Points, RunStore, end_of, facts_of

LOCKED_SECONDS = 20.0
"""How long a read waits for a writer to end its transaction."""
PARENT = "mlflow.parentRunId"
OTHER_VERSION = (
    "; if it is from another version of MLflow: `mlflow db upgrade` brings an older database up to date, and --store "
    "also takes the address of an MLflow server that runs on it"
)


class SqliteRuns(RunStore):
    """Every read is one short transaction, so that a training run can write between two reads."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if `path` is not a readable store."""
        self._path = path
        super().__init__(f"sqlite:///{path.resolve()}", path.resolve())
        if not path.is_file():
            raise UserError(
                f"{path}: no such MLflow store: `icpo train` and `icpo eval` make one in the folder they are started "
                f"in; --store names another"
            )
        with self._reading() as database:
            database.execute("SELECT run_uuid FROM runs LIMIT 0")

    def runs(self) -> list[PastRun]:
        with self._reading() as database:
            params = _by_run(database, "SELECT run_uuid, key, value FROM params")
            tags = _by_run(database, "SELECT run_uuid, key, value FROM tags")
            metrics = _by_run(
                database,
                "SELECT run_uuid, key, value FROM latest_metrics WHERE NOT is_nan AND abs(value) < ?",
                sys.float_info.max,  # MLflow's infinity
            )
            steps = dict(database.execute("SELECT run_uuid, max(step) FROM latest_metrics GROUP BY run_uuid"))
            rows = database.execute(
                "SELECT run_uuid, runs.name, experiments.name, status, start_time, end_time FROM runs "
                "JOIN experiments USING (experiment_id) WHERE runs.lifecycle_stage = 'active' "
                "ORDER BY start_time DESC, run_uuid"
            ).fetchall()
        return [
            PastRun(
                id=run_id,
                name=name,
                experiment=experiment,
                status=Status.of_mlflow(status),
                start_ms=start,
                end_ms=end_of(status, end),
                parent=tags[run_id].get(PARENT),
                params=params[run_id],
                tags=facts_of(tags[run_id]),
                metrics=metrics[run_id],
                last_step=steps.get(run_id, 0),
            )
            for run_id, name, experiment, status, start, end in rows
        ]

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        marks = ", ".join("?" * len(metrics))
        with self._reading() as database:
            # The plus keeps sqlite from going through every run's points of those metrics.
            rows = database.execute(
                f"SELECT key, step, value FROM metrics WHERE run_uuid = ? AND +key IN ({marks}) "
                "AND NOT is_nan AND abs(value) < ? ORDER BY step, timestamp, value",
                (run_id, *metrics, sys.float_info.max),
            ).fetchall()
        found: dict[str, dict[int, float]] = {}
        for key, step, value in rows:
            found.setdefault(key, {})[step] = value
        return {key: tuple(points.items()) for key, points in found.items()}

    def _artifact_root(self, run_id: str) -> str | None:
        with self._reading() as database:
            row = database.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        return row[0] if row else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One transaction, so that all queries see the same state. Raises UserError."""
        try:
            with closing(self._begin()) as database:
                yield database
        except sqlite3.Error as error:
            hint = OTHER_VERSION if str(error).startswith("no such") else ""
            raise UserError(f"{self._path}: cannot be read as an MLflow store: {error}{hint}") from error

    def _begin(self) -> sqlite3.Connection:
        try:
            return _connect(self._path, "ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            # A writer was killed within a transaction: sqlite must roll it back, which a read-only connection cannot.
            return _connect(self._path, "rw")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode={mode}", uri=True, timeout=LOCKED_SECONDS)
    database.execute("BEGIN")
    database.execute("SELECT name FROM sqlite_master LIMIT 1")  # sqlite opens the file only now
    return database


def _by_run(database: sqlite3.Connection, query: str, *values: float) -> defaultdict[str, dict]:
    """{run: {key: value}}"""
    found: defaultdict[str, dict] = defaultdict(dict)
    for run_id, key, value in database.execute(query, values):
        found[run_id][key] = value
    return found
