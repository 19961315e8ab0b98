"""Results that several equal runs need: one run computes them, the others wait and read them.

FOLDER/TASK-HASH.json   the result, and everything it depends on, over which HASH is taken
FOLDER/TASK-HASH.lock   held by the run that computes it; released by the system if that run is killed
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.plan import identity_hash
from icpo_cli.runs.files import locked, write_text

POLL_SECONDS = 0.5
"""Time between two checks whether another run has finished."""
Numbers = dict[str, Any]
"""A result as JSON."""


class ResultCache:
    """One task's entry in the folder."""

    def __init__(self, folder: Path, task: str, identity: Mapping[str, Any]) -> None:
        """`identity`: everything that the result depends on."""
        self.path = folder / f"{task}-{identity_hash(identity)}.json"
        self._identity = _through_json(identity)
        self._lock = ExitStack()

    def get(self) -> Numbers | None:
        """The stored result; None if there is no file, or it is incomplete or has another identity."""
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            numbers = dict(document["numbers"])
            valid = document["sha256"] == _sha256(numbers) and document["identity"] == self._identity
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None
        return numbers if valid else None

    def get_or_lock(self) -> tuple[Numbers | None, bool]:
        """The stored result, and whether this run now holds the lock to compute it."""
        if (numbers := self.get()) is not None:
            return numbers, False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.enter_context(locked(self.path.with_suffix(".lock")))
        except BlockingIOError:
            return None, False
        # The other run may have stored it and released the lock between the reading and the locking here.
        if (numbers := self.get()) is not None:
            self.release()
        return numbers, numbers is None

    def put(self, numbers: Numbers) -> None:
        """Store the result, atomically."""
        document = {"identity": self._identity, "numbers": numbers, "sha256": _sha256(_through_json(numbers))}
        write_text(self.path, json.dumps(document, indent=2))

    def release(self) -> None:
        self._lock.close()


def get_or_compute(
    cache: ResultCache | None, ranks: Ranks, compute: Callable[[], Numbers], lasting: Callable[[Numbers], bool]
) -> tuple[Numbers, bool]:
    """The result, on every rank, and whether it was read from the cache. `cache`: rank 0's, None on the others.

    If there is none, all ranks `compute` it; it is stored only if it is `lasting`, otherwise the next run computes
    its own.
    """
    cached = _wait_for(cache, ranks)
    if cached is not None:
        return cached, True
    try:
        computed = compute()
        if cache is not None and lasting(computed):
            cache.put(computed)
    finally:
        if cache is not None:
            cache.release()
    return computed, False


def _wait_for(cache: ResultCache | None, ranks: Ranks) -> Numbers | None:
    """The stored result, or None once this run holds the lock.

    Ranks poll together, so that no collective exceeds its timeout.
    """
    while True:
        numbers, mine = ranks.broadcast(cache.get_or_lock() if cache is not None else None)
        if numbers is not None or mine:
            return numbers
        time.sleep(POLL_SECONDS)


def _through_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON returns them: tuples become lists, keys become strings."""
    return dict(json.loads(json.dumps(values)))


def _sha256(numbers: Numbers) -> str:
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
