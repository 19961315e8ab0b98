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
READABLE = frozenset(
    """
    6953534de441 bda7b8c39065 cbc13b556ace 770bee3ae1dd a1b2c3d4e5f6 de4033877273 1a0cddfcaa16 534353b11cbc 71994744cf8e
    3da73c924c2f bf29a5ff90ea 1bd49d398cd23 b7c8d9e0f1a2 5d2d30f0abce c9d4e5f6a7b8 2c33131f4dae d3e4f5a6b7c8
    d0e1f2a3b4c5 c8d9e0f1a2b3 1b5f0d9ad7c1 e1f2a3b4c5d6 76601a5f987d c3d6457b6d8a a5b4c3d2e1f0 ae8bbe7743c9
    7d34483879f0 da6fb0208061 89d3d66ed43f b7e4c1a90f23 a8b9c0d1e2f3 c1d2e3f4a5b6 c3d9e7f1a2b4 6f8d9c3b2a1e
    1971f2d9a75b 17e22815139b b7e2c1a4d9f3 75868b020152 dc11669786a5
    """.split()
)
"""Schema versions of MLflow 3.0 to 3.17, whose tables of runs are equal."""
OLDER = frozenset(
    """
    451aebb31d03 90e64c465722 181f10493468 df50e92ffc5e 7ac759974ad8 89d4b8295536 2b4d017a5e9b cfd24bdc0731 0a8213491aaa
    728d730b5ebd 27a6a02d2cf1 84291f40a231 a8c4a736bde6 39d1c3be5f05 c48cb773bb87 bd07f7e963c5 0c779009ac13
    cc1f77228345 97727af70f4d 3500859a5d39 7f2a7d5fae7d 2d6e25af4d3e acf3f17fdcc7 867495a8f9d4 5b0e9adcef9c
    4465047574b1 f5a4f2784254 0584bdc529eb 400f98739977
    """.split()
)
"""Schema versions of MLflow 1 and 2."""


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
            _check_schema(path, database)

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
            raise UserError(f"{self._path}: cannot be read as an MLflow store: {error}") from error

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


def _check_schema(path: Path, database: sqlite3.Connection) -> None:
    """Raises UserError if its tables are not those that this module reads."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if not {"alembic_version", "runs"} <= tables:
        raise UserError(f"{path}: no MLflow store: it has no table of runs")
    [(version,)] = database.execute("SELECT version_num FROM alembic_version")
    if version in OLDER:
        raise UserError(
            f"{path}: from an older MLflow (schema {version}); bring it up to date, once, with "
            f"`mlflow db upgrade sqlite:///{path}`"
        )
    if version not in READABLE:
        raise UserError(
            f"{path}: from a newer MLflow (schema {version}) than this icpo reads: upgrade icpo, or give --store the "
            f"address of an MLflow server that runs on it"
        )
