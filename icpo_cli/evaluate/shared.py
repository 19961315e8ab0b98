"""Numbers that several equal runs need and one makes: the others wait for it and take them over.

FOLDER/WHAT-HASH.json   the numbers, with all they depend on, over which HASH is
FOLDER/WHAT-HASH.lock   held by the run that is making them; one that is killed lets go of it
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.plan import identity_hash
from icpo_cli.runs.files import atomic_write, locked

LOOK_SECONDS = 0.5
"""Between two looks at whether another run is done."""
Numbers = dict[str, Any]
"""As JSON has them."""


@dataclass(frozen=True)
class Found:
    """What a look at the shelf showed."""

    numbers: Numbers | None
    mine: bool = False
    """There are none, and they are this run's to make: no other does until the shelf is released."""


class Shelf:
    """One evaluation's place in the folder."""

    def __init__(self, folder: Path, what: str, identity: Mapping[str, Any]) -> None:
        """`identity`: all that the numbers depend on."""
        self.path = folder / f"{what}-{identity_hash(identity)}.json"
        self._identity = _as_read(identity)
        self._lock = ExitStack()

    def look(self) -> Found:
        numbers = self._read()
        if numbers is None and self._reserved():
            numbers = self._read()
            if numbers is None:
                return Found(None, mine=True)
            # The run that made them let go between the first reading and the lock.
            self.release()
        return Found(numbers)

    def put(self, numbers: Numbers) -> None:
        """Onto the disk, then under their name."""
        document = {"identity": self._identity, "numbers": numbers, "sha256": _sha256(_as_read(numbers))}
        with atomic_write(self.path) as tmp:
            tmp.write_text(json.dumps(document, indent=2), encoding="utf-8")

    def release(self) -> None:
        self._lock.close()

    def _read(self) -> Numbers | None:
        """None where there is no file, or one that is torn or another identity's."""
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            numbers = dict(document["numbers"])
            believed = document["sha256"] == _sha256(numbers) and document["identity"] == self._identity
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None
        return numbers if believed else None

    def _reserved(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.enter_context(locked(self.path.with_suffix(".lock")))
        except BlockingIOError:
            return False
        return True


def taken_or_made(
    shelf: Shelf | None, ranks: Ranks, make: Callable[[], Numbers], lasting: Callable[[Numbers], bool]
) -> tuple[Numbers, bool]:
    """The numbers, on every rank, and whether they were taken over. `shelf`: rank 0's, None on the others.

    Where there are none all ranks `make` them, and keep them unless they are not `lasting`: the next run then makes
    its own.
    """
    found = _settled(shelf, ranks)
    if found is not None:
        return found, True
    try:
        made = make()
        if shelf is not None and lasting(made):
            shelf.put(made)
    finally:
        if shelf is not None:
            shelf.release()
    return made, False


def _settled(shelf: Shelf | None, ranks: Ranks) -> Numbers | None:
    """None when they are this run's to make. Ranks look in step, so that no exchange outlasts its deadline."""
    while True:
        found = ranks.broadcast(shelf.look() if shelf is not None else None)
        if found.numbers is not None or found.mine:
            return found.numbers
        time.sleep(LOOK_SECONDS)


def _as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: tuples are lists, keys are texts."""
    return dict(json.loads(json.dumps(values)))


def _sha256(numbers: Numbers) -> str:
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
