import os
import signal
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.runs.files import atomic_create, atomic_write, locked, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_an_error_leaves_the_old_content_and_no_temporary_file(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "table.md"
    write_text(path, "old", durable=durable)
    with pytest.raises(OSError, match="full"), atomic_write(path, durable=durable) as tmp:
        tmp.write_text("half")
        raise OSError("full")
    assert path.read_text() == "old" and names(tmp_path) == ["table.md"]


def test_a_kill_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    write_text(path, "old")
    process = os.fork()
    if process == 0:
        with atomic_write(path) as tmp:
            tmp.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_is_written_as_a_file_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), atomic_write(tmp_path / "model") as tmp:
        tmp.mkdir()
        (tmp / "weights").write_text("half")
        raise OSError("full")
    assert names(tmp_path) == []
    with atomic_write(tmp_path / "model") as tmp:
        tmp.mkdir()
        (tmp / "weights").write_text("whole")
    assert names(tmp_path) == ["model"] and (tmp_path / "model" / "weights").read_text() == "whole"


def test_of_two_creators_the_first_wins(tmp_path: Path) -> None:
    with atomic_create(tmp_path / "db") as tmp:
        tmp.write_text("second")
        (tmp_path / "db").write_text("first")
    assert (tmp_path / "db").read_text() == "first" and names(tmp_path) == ["db"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        with pytest.raises(BlockingIOError), locked(path):
            raise AssertionError("locked twice")
        with pytest.raises(UserError, match=r"^another one works here$"), locked(path, busy="another one works here"):
            raise AssertionError("locked twice")
    with locked(path, wait=True):
        pass
