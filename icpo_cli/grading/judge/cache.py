"""A judge's settled verdicts on disk, so that no run or process asks again what was answered before a kill."""

import sqlite3
import threading
from pathlib import Path

from icpo_cli.errors import UserError
from icpo_cli.records import VerdictKind
from icpo_cli.runs.files import atomic_create

APPLICATION_ID = 0x6963706F
"""In the file's header: "icpo". Another program's database is left alone."""
BUSY_SECONDS = 60.0


class JudgeCache:
    """Key to verdict and raw reply, each on disk for good once `put` returns. Raises UserError naming the file."""

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
            raise UserError(f"reward.judge.cache: {path}: not a judge's cache; name another file")

    def get(self, key: str) -> tuple[VerdictKind, str] | None:
        rows = self._execute("SELECT verdict, reply FROM verdicts WHERE key = ?", (key,))
        return (VerdictKind(rows[0][0]), rows[0][1]) if rows else None

    def put(self, key: str, verdict: VerdictKind, reply: str) -> None:
        # A reply may hold half a surrogate pair, which SQLite has no encoding for.
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
        return UserError(f"reward.judge.cache: {self.path}: cannot be used: {error}; move it away or name another file")


def _open(path: Path) -> sqlite3.Connection:
    """Every statement commits by itself."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: safe against a kill, not slowed by a sync an answer
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
