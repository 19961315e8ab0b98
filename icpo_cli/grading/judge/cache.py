"""The judge's verdicts on disk, so that no request is repeated after a kill or by another run."""

import sqlite3
import threading
from pathlib import Path

from icpo_cli.errors import UserError
from icpo_cli.records import VerdictKind
from icpo_cli.runs.files import atomic_create

APPLICATION_ID = 0x6963706F
""""icpo" in the file's header. A database with another id is not used."""
BUSY_SECONDS = 60.0


class JudgeCache:
    """A map from key to verdict and raw reply, durable when put() returns. Raises UserError that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            if not path.exists():
                _create(path)
            self._connection = _open(path)
            (owner,) = self._connection.execute("PRAGMA application_id").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None
        if owner != APPLICATION_ID:
            self.close()
            raise UserError(f"reward.judge.cache: {path}: not a judge's cache; choose another file")

    def get(self, key: str) -> tuple[VerdictKind, str] | None:
        rows = self._execute("SELECT verdict, reply FROM verdicts WHERE key = ?", (key,))
        return (VerdictKind(rows[0][0]), rows[0][1]) if rows else None

    def put(self, key: str, verdict: VerdictKind, reply: str) -> None:
        # A reply may contain a lone surrogate, which SQLite cannot encode.
        storable = reply.encode("utf-8", "backslashreplace").decode()
        self._execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", (key, verdict.value, storable))

    def close(self) -> None:
        self._connection.close()

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> UserError:
        return UserError(f"reward.judge.cache: {self.path}: cannot be used: {error}; move it or choose another file")


def _open(path: Path) -> sqlite3.Connection:
    """Open in autocommit mode."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: safe against a kill, without an fsync per verdict
    return connection


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_create(path) as tmp:
        connection = _open(tmp)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL, reply TEXT NOT NULL) WITHOUT ROWID"
        )
        connection.close()
