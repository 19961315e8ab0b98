import errno
import os
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.errors import RunFailed, UserError
from icpo_cli.evaluate import store as store_module
from icpo_cli.evaluate.store import ResponseStore, StoredResponse
from icpo_cli.records import RuleName, Verdict, VerdictKind
from tests.evaluate.benchmark import make_task


def store_of(folder: Path, grading: str = "one", **identity: str) -> ResponseStore:
    return ResponseStore(folder, identity, make_task(), grading)


def response(name: str, index: int = 0) -> StoredResponse:
    return StoredResponse(name, index, f"text of {name}\n\ud800", (1, 2), "stop", 7, 0.1 + 0.2, -0.3)


def test_responses_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    with store_of(tmp_path / "s", model="m") as store:
        store.add([response("a"), response("b")])
        store.add([response("a", 1)])
    with store_of(tmp_path / "s", model="m") as store:
        assert store.responses == {("a", 0): response("a"), ("b", 0): response("b"), ("a", 1): response("a", 1)}
    assert '"model": "m"' in (tmp_path / "s" / "identity.json").read_text()


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_an_incomplete_last_line_is_removed(kept: int, tmp_path: Path) -> None:
    with store_of(tmp_path) as store:
        store.add([response("a")])
        whole = (tmp_path / "responses.jsonl").read_bytes()
        store.add([response("b")])
    torn = (tmp_path / "responses.jsonl").read_bytes()[len(whole) :]
    (tmp_path / "responses.jsonl").write_bytes(whole + torn[:kept])
    with store_of(tmp_path) as store:
        assert set(store.responses) == {("a", 0)}
        store.add([response("c")])
    with store_of(tmp_path) as store:
        assert set(store.responses) == {("a", 0), ("c", 0)}


def test_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "responses.jsonl").write_text('{"id"\n{}\n')
    with pytest.raises(RunFailed, match="damaged"), store_of(tmp_path):
        pass


def test_a_store_is_locked_by_one_process(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="another evaluation is generating into it")
    with store_of(tmp_path), refused, store_of(tmp_path):
        pass
    with store_of(tmp_path):
        pass


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, file: int, text: bytes) -> int:
            if b'"b"' in text:
                os.write(file, text[:20])
                raise OSError(errno.ENOSPC, "No space left on device")
            return os.write(file, text)

    with store_of(tmp_path) as store:
        monkeypatch.setattr(store_module, "os", FullDisk())
        store.add([response("a")])
        with pytest.raises(RunFailed, match="No space left on device; its content is kept"):
            store.add([response("b")])
        monkeypatch.undo()
    with store_of(tmp_path) as store:
        assert set(store.responses) == {("a", 0)}


def test_verdicts_are_stored_by_grading_hash(tmp_path: Path) -> None:
    right = Verdict(VerdictKind.CORRECT, "1", RuleName.EXACT, "")
    late = Verdict(VerdictKind.TIMEOUT, "1", RuleName.DEADLINE, "too slow")
    with store_of(tmp_path) as store:
        store.add_verdicts({("a", 0): right, ("b", 0): late})
        assert store.verdicts == {("a", 0): right, ("b", 0): late}
    with store_of(tmp_path) as store:
        # A timeout may be due to the machine: the response is graded again.
        assert store.verdicts == {("a", 0): right}
    with store_of(tmp_path, "two") as store:
        assert store.verdicts == {}
