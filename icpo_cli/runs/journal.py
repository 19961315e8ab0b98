"""The local, append-only log of a run's metrics, on disk before MLflow gets them."""

import json
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.runs.files import sync, write_text


@dataclass(frozen=True)
class JournalEntry:
    """Metrics of one step: an iteration (from 1), or 0 for what was measured before the first."""

    step: int
    time_ms: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class JournalPosition:
    """How far a reader has read."""

    file: tuple[Path, int] | None = None
    """Path and inode; a journal that was rewritten, as a resumed run's is, is another file."""
    offset: int = 0
    """Bytes."""


START = JournalPosition()


class Journal:
    """One JSON object per line. A half-written last line, which a kill can leave, is not read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: JournalEntry) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(entry)) + "\n")
        sync(self.path)

    def entries(self) -> list[JournalEntry]:
        """All entries, in order; none where there is no file."""
        return self.read_from(START)[0]

    def read_from(self, position: JournalPosition) -> tuple[list[JournalEntry], JournalPosition]:
        """The entries after `position`, and the position after them; all of a file that was rewritten since."""
        if not self.path.exists():
            return [], START
        with self.path.open("rb") as file:
            state = self.path.stat()
            known = position.file == (self.path, state.st_ino) and position.offset <= state.st_size
            offset = position.offset if known else 0
            file.seek(offset)
            lines, newline, _ = file.read().rpartition(b"\n")
        entries = [JournalEntry(**json.loads(line)) for line in lines.splitlines()]
        return entries, JournalPosition((self.path, state.st_ino), offset + len(lines) + len(newline))

    def modified(self) -> float:
        """Seconds since 1970; 0 where there is no file."""
        return self.path.stat().st_mtime if self.path.exists() else 0.0

    def truncate(self, last_step: int) -> None:
        """Drop every step after `last_step`: a resumed run computes them again."""
        kept = [json.dumps(vars(entry)) + "\n" for entry in self.entries() if entry.step <= last_step]
        write_text(self.path, "".join(kept))
