"""Files that are complete or absent: atomic writes, the package's one fsync and its one lock."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from icpo_cli.errors import UserError


class Below:
    """Attribute of a class with a `path`: the file or folder of this name below the path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: Any, owner: type) -> Path:
        return Path(folder.path, self._name)


@contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which becomes `path` when the block ends without an error.

    For a file or a folder. Readers see the old content or the new one, also after a kill at any moment.
    `durable`: also after a power failure, at the price of an fsync.
    """
    tmp = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    _remove(tmp)  # a killed process may have had the same id
    try:
        yield tmp
        publish(tmp, path, durable=durable)
    finally:
        _remove(tmp)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """atomic_write of a text, as UTF-8."""
    with atomic_write(path, durable=durable) as tmp:
        tmp.write_text(text, encoding="utf-8")


@contextmanager
def atomic_create(path: Path) -> Iterator[Path]:
    """Yields a temporary path for a new file; if another process creates `path` first, that file stays.

    The temporary path has the same name in a temporary folder, which also takes companion files, as of a database.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        tmp = Path(folder) / path.name
        yield tmp
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(tmp)


def publish(tmp: Path, path: Path, *, durable: bool = True) -> None:
    """Rename a complete temporary file or folder to its final name; `durable` as in atomic_write."""
    if durable:
        sync(tmp)
    tmp.replace(path)
    if durable:
        sync(path.parent, recursive=False)


def check_writable(folder: Path, key: str) -> None:
    """Raises UserError unless the folder can be made and written to. Makes nothing: a later failure leaves no trace."""
    existing = existing_parent(folder)
    if not existing.is_dir():
        raise UserError(f"{key}: {folder}: cannot be made: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{key}: {folder}: cannot be written to")


def sync(path: Path, *, recursive: bool = True) -> None:
    """Flush a file, or a folder with everything below it, to the disk."""
    below = path.rglob("*") if recursive and path.is_dir() else ()
    for each in (*below, path):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool = False, busy: str | None = None) -> Iterator[int]:
    """Holds an exclusive lock on a file, which is created if missing; yields its descriptor.

    A child process that inherits the descriptor holds the lock too. If another process has it, the call waits with
    `wait`, and otherwise raises UserError with the text of `busy`, or BlockingIOError without one.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            if busy is None:
                raise
            raise UserError(busy) from None
        yield descriptor
    finally:
        os.close(descriptor)


def compute_once(key: str, compute: Callable[[], Any]) -> Any:
    """The result of `compute`, kept in the user's cache as JSON: one process computes it, others wait and read it."""
    path = Path(platformdirs.user_cache_dir("icpo")) / "data" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), wait=True):
        if not path.exists():
            write_text(path, json.dumps(compute()), durable=False)
    return json.loads(path.read_text(encoding="utf-8"))


def existing_parent(path: Path) -> Path:
    """The path if it exists, else its nearest parent that does."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
