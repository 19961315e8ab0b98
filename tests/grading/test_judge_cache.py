"""The judge's cache: verdicts persist."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.grading.judge.cache import JudgeCache
from icpo_cli.grading.judge.judge import Case
from tests.grading.faulty_server import (
    FaultyServer,
    Handler,
    slow,
)
from tests.grading.judging import CORRECT, DENIES, WRONG, JudgeOf, case, kinds
from tests.grading.judging_process import CASES


def test_what_changes_a_verdict_changes_the_version_and_the_cache_key(server: FaultyServer, judge_of: JudgeOf) -> None:
    settings: list[dict[str, object]] = [
        {},
        {"model": "judge-72b"},
        {"max_tokens": 64},
        {"form": "general_verifier"},
        {"requests_at_once": 3, "retries": 4, "timeout_seconds": 9.0},  # of the way there only
    ]
    judges = [judge_of(**each) for each in settings]
    for number, judge in enumerate(judges[:4], start=1):
        judge.judge([case("a")])
        assert len(server.asked) == number
    assert kinds(judges[4], "a") == [CORRECT] and len(server.asked) == 4
    assert len({judge.version for judge in judges}) == 4 and judges[4].version == judges[0].version
    judges[0].judge([Case("Another question", "one half", "answer-a"), Case("What is a?", "one", "answer-a")])
    assert len(server.asked) == 6


def test_a_killed_run_asks_nothing_twice(server: FaultyServer, tmp_path: Path, judge_of: JudgeOf) -> None:
    fifth_is_here = threading.Event()

    def holds(handler: Handler) -> None:
        fifth_is_here.set()
        slow(handler)

    server.script = {CASES[4].answer: [holds, DENIES]}
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.grading.judging_process", server.url, str(tmp_path / "judge.sqlite")],
        cwd=Path(__file__).parents[2],
    )
    try:
        assert fifth_is_here.wait(60)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert [request.prompt.count(f"answer-{number}") for number, request in enumerate(server.asked)] == [1] * 5
    verdicts = judge_of(requests_at_once=1).judge(CASES)
    assert [verdict.kind for verdict in verdicts] == [CORRECT] * 4 + [WRONG] + [CORRECT] * 3
    again = [next(n for n in range(8) if f"answer-{n}" in request.prompt) for request in server.asked[5:]]
    assert again == [4, 5, 6, 7]


def test_processes_that_start_at_once_make_one_cache(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from icpo_cli.records import VerdictKind;"
        "from icpo_cli.grading.judge.cache import JudgeCache; sys.stdin.read(); cache = JudgeCache(Path(sys.argv[1]));"
        "[cache.put(f'{sys.argv[2]}-{n}', VerdictKind.WRONG, '') for n in range(50)]"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "judge.sqlite")]
    running = [subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE) for number in range(5)]
    for process in running:  # each waits for this before it looks for the file
        assert process.stdin
        process.stdin.close()
    assert [process.wait(120) for process in running] == [0] * 5
    cache = JudgeCache(tmp_path / "judge.sqlite")
    assert all(cache.get(f"{number}-{index}") == (WRONG, "") for number in range(5) for index in range(50))
    cache.close()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_many_may_write_at_once(tmp_path: Path) -> None:
    caches = [JudgeCache(tmp_path / "judge.sqlite") for _ in range(3)]

    def write(number: int) -> None:
        for index in range(100):
            caches[number % 3].put(f"{number}-{index}", CORRECT, "Verdict: CORRECT")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [caches[0].get(f"{number}-{index}") for number in range(6) for index in range(100)]
    assert found == [(CORRECT, "Verdict: CORRECT")] * 600
    for cache in caches:
        cache.close()


def test_a_cache_that_cannot_be_used_is_named(tmp_path: Path, judge_of: JudgeOf) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(os.urandom(8192))
    others = tmp_path / "others.sqlite"
    connection = sqlite3.connect(others)
    connection.execute("CREATE TABLE runs (id TEXT)")
    connection.close()
    (tmp_path / "file").write_text("")
    says_of = {
        garbage: "cannot be used: file is not a database; move it or choose another file",
        others: "not a judge's cache; choose another file",
        tmp_path / "file": "not a judge's cache; choose another file",
        tmp_path: "cannot be used: unable to open database file",
        tmp_path / "file" / "judge.sqlite": "cannot be used: ",
    }
    for path, problem in says_of.items():
        with pytest.raises(UserError) as caught:
            judge_of(cache=str(path))
        assert str(caught.value).startswith(f"reward.judge.cache: {path}: ") and problem in str(caught.value)


def test_a_cache_found_damaged_while_in_use_is_named(tmp_path: Path, judge_of: JudgeOf) -> None:
    judge_of().judge([case(str(number)) for number in range(200)])
    path = tmp_path / "judge.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(path.read_bytes()[:4096] + os.urandom(path.stat().st_size - 4096))
    with pytest.raises(UserError, match=r"damaged\.sqlite: cannot be used: .*malformed"):
        judge_of(cache=str(damaged)).judge([case("1")])
