"""The local, append-only record of a run's metrics: written and synced before anything else hears of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """The metrics of one step: an iteration (from 1), or 0 for what was measured before the first."""

    step: int
    time_ms: int
    metrics: dict[str, float]


class Journal:
    """One JSON object a line. A half-written last line, which a kill can leave, is dropped on reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Entry) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> Iterator[Entry]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield Entry(**json.loads(line))

    def truncate(self, last_step: int) -> None:
        """Forget every step after `last_step`: they will be made again."""
        kept = [json.dumps(vars(entry)) + "\n" for entry in self.entries() if entry.step <= last_step]
        aside = self.path.with_suffix(".tmp")
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)
