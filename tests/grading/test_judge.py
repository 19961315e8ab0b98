"""The judge with a faulty server."""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from icpo_cli.config.check import check_judge
from icpo_cli.config.load import load_config
from icpo_cli.config.schema import JudgeConfig
from icpo_cli.errors import UserError
from icpo_cli.grading.judge.judge import Case, OpenAIJudge
from icpo_cli.records import Verdict
from icpo_cli.train.check import check
from tests.grading.faulty_server import (
    MODELS,
    Action,
    FaultyServer,
    Handler,
    drip,
    flood,
    half_a_body,
    hang_up,
    says,
    slow,
    status,
)
from tests.grading.judging import CORRECT, DENIES, ERROR, WRONG, JudgeOf, case, kinds

SHORT = 2.0
"""Seconds; the timeout of requests that should reach it."""


FAULTS: dict[str, tuple[Action, str]] = {
    "429": (status(429, Retry_After="0.01"), "the server answers 429: .*scripted"),
    "500": (status(500), "the server answers 500"),
    "502 of a proxy": (status(502, b"<html>Bad Gateway</html>"), "the server answers 502"),
    "not JSON": (status(200, b"<html>Welcome</html>"), "invalid response: not JSON: <html>Welcome</html>"),
    "not UTF-8": (status(200, b"\xff\xfe{}"), "invalid response: not JSON"),
    "deep JSON": (status(200, b"[" * 200_000), "invalid response: not JSON"),
    "nothing": (status(200, b""), "invalid response: not JSON: nothing"),
    "JSON of another shape": (status(200, b'{"verdict": "correct"}'), "invalid response: not a completion"),
    "no choice": (status(200, b'{"choices": []}'), "invalid response: not a completion"),
    "a number for a text": (says(1), "invalid response: not a completion"),
    "no reply at all": (hang_up, "the connection failed: Server disconnected"),
    "half a body": (half_a_body, "the connection failed: "),
    "slow": (slow, rf"timed out: no answer within {SHORT:g} s \(tries: 2\)"),
    "a byte at a time": (drip, f"timed out: no answer within {SHORT:g} s"),
    "too much": (flood, "invalid response: longer than 1 MiB"),
}


@dataclass(frozen=True)
class Batch:
    """Every fault in one batch, temporary and permanent, among cases without a fault."""

    verdicts: dict[str, Verdict]
    requests: Counter[str]


@pytest.fixture(scope="module")
def all_faults(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    answers = [f"answer-{number}-{way}." for number in range(len(FAULTS)) for way in ("passes", "stays", "fine")]
    with FaultyServer() as server:
        for number, (action, _) in enumerate(FAULTS.values()):
            server.script |= {f"answer-{number}-passes.": [action, DENIES], f"answer-{number}-stays.": [action]}
        cache = tmp_path_factory.mktemp("faults") / "judge.sqlite"
        judge = OpenAIJudge(
            JudgeConfig(mode="alone", url=server.url, retries=1, timeout_seconds=SHORT, cache=str(cache))
        )
        verdicts = judge.judge([Case("Which?", "one half", answer) for answer in answers])
        judge.close()
        asked = Counter(re.findall(r"answer-\d+-\w+\.", request.prompt)[0] for request in server.asked)
    assert [verdict.extracted for verdict in verdicts] == answers  # in order
    return Batch(dict(zip(answers, verdicts, strict=True)), asked)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_costs_a_retry_and_one_that_stays_is_an_error(fault: str, all_faults: Batch) -> None:
    number = list(FAULTS).index(fault)
    passes, stays, fine = (f"answer-{number}-{way}." for way in ("passes", "stays", "fine"))
    verdict = all_faults.verdicts[stays]
    assert verdict.kind is ERROR and verdict.rule == "judge"
    assert re.search(FAULTS[fault][1], verdict.reason), verdict.reason
    assert all_faults.verdicts[passes].kind is WRONG and all_faults.verdicts[fine].kind is CORRECT
    assert [all_faults.requests[answer] for answer in (passes, stays, fine)] == [2, 2, 1]


def test_an_error_is_asked_again_by_the_next_run_and_a_verdict_is_not(server: FaultyServer, judge_of: JudgeOf) -> None:
    server.script = {"answer-b": [status(500), status(500), DENIES]}
    cases = [case("a"), case("b")]
    first = judge_of().judge(cases)
    assert [verdict.kind for verdict in first] == [CORRECT, ERROR]
    assert len(server.asked) == 3
    second = judge_of().judge(cases)
    assert [verdict.kind for verdict in second] == [CORRECT, WRONG] and second[0] == first[0]
    assert len(server.asked) == 4
    assert judge_of().judge(cases) == second
    assert len(server.asked) == 4


def test_a_retry_comes_no_sooner_than_the_server_asks_for(server: FaultyServer, judge_of: JudgeOf) -> None:
    """The client's own first backoff is at most half a second."""
    server.script = {"answer-busy": [status(429, Retry_After="1"), DENIES]}
    assert kinds(judge_of(), "busy") == [WRONG]
    first, second = server.asked
    assert second.at - first.at >= 1.0


def test_a_wait_beyond_two_minutes_is_not_waited(server: FaultyServer, judge_of: JudgeOf) -> None:
    server.script = {"answer-busy": [status(429, Retry_After="3600")]}
    assert kinds(judge_of(), "busy", "fine") == [ERROR, CORRECT]
    assert len(server.asked_about("answer-busy")) == 1


def test_a_server_that_answers_nothing_is_given_up_for_the_rest_of_the_batch(
    server: FaultyServer, judge_of: JudgeOf
) -> None:
    server.otherwise = status(429, Retry_After="100")
    judge = judge_of(give_up_seconds=0.5, requests_at_once=2)
    verdicts = judge.judge([case(str(number)) for number in range(20)])
    assert [verdict.kind for verdict in verdicts] == [ERROR] * 20
    assert "no answer after 0.5 s" in verdicts[0].reason
    assert verdicts[19].reason == "not sent: the judge's server has not responded for 0.5 s"
    assert len(server.asked) == 2
    server.otherwise = says("Verdict: CORRECT")
    assert kinds(judge, "0", "19") == [CORRECT, CORRECT]


def test_equal_cases_are_asked_once_and_as_many_at_once_as_configured(server: FaultyServer, judge_of: JudgeOf) -> None:
    """Four requests that wait for each other finish only if they are concurrent."""
    meeting = threading.Barrier(4, timeout=30)

    def meets(handler: Handler) -> None:
        meeting.wait()
        says("Verdict: CORRECT")(handler)

    server.otherwise = meets
    names = ("a", "b", "a", "c", "d", "b")
    assert kinds(judge_of(requests_at_once=4), *names) == [CORRECT] * 6
    assert sorted(request.prompt.count("answer-") for request in server.asked) == [1, 1, 1, 1]


def test_what_is_sent(server: FaultyServer, judge_of: JudgeOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k-12345")
    judge = judge_of(key_variable="MY_KEY", model="judge-72b")
    assert kinds(judge, "a") == [CORRECT]
    asked = server.asked[0]
    assert asked.path == "/v1/chat/completions" and asked.authorization == "Bearer k-12345"
    decoding = {key: value for key, value in asked.body.items() if key != "messages"}
    assert decoding == {"model": "judge-72b", "temperature": 0.0, "seed": 0, "max_tokens": 256}
    assert [message["role"] for message in asked.body["messages"]] == ["user"]


def test_the_key_is_neither_stored_nor_shown(
    server: FaultyServer, judge_of: JudgeOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ICPO_JUDGE_KEY", "k-12345")
    server.script = {"answer-a": [status(400, b'{"error": {"message": "bad key k-12345"}}')]}
    verdicts = judge_of().judge([case("a"), case("b")])
    assert verdicts[0].reason.count("***") == 1 and "k-12345" not in verdicts[0].reason
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"Verdict: CORRECT" in stored and b"k-12345" not in stored


# Whether there is a judge at all.


def test_the_first_model_served_is_taken_and_an_unknown_one_refused(judge_of: JudgeOf) -> None:
    assert judge_of().model == MODELS[0]
    with pytest.raises(UserError, match=r"^reward.judge.model: 'judge-70b' is not served at http.*; nearest: judge-7"):
        judge_of(model="judge-70b")
    with pytest.raises(UserError, match=r"'x' is not served at http.*; allowed: judge-7b, judge-72b$"):
        judge_of(model="x")


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        (status(404), "no judge there: the server answers 404"),
        (status(401), "the server requires a key in the environment variable ICPO_JUDGE_KEY"),
        (status(200, b"<html>"), "no judge there: invalid response: not JSON: <html>"),
        (status(200, b'{"models": []}'), "no judge there: invalid response: not a list of models"),
        (status(200, b'{"data": []}'), "the server lists no model"),
        (hang_up, "no judge there: the connection failed"),
        (slow, "no judge there: the judge timed out: no answer within 0.5 s"),
    ],
)
def test_a_server_without_models_is_the_users_mistake(
    models: Action, problem: str, server: FaultyServer, judge_of: JudgeOf
) -> None:
    server.models = models
    with pytest.raises(UserError) as caught:
        judge_of(timeout_seconds=0.5)
    assert str(caught.value).startswith(f"reward.judge.url: {server.url}: ") and problem in str(caught.value)


def test_no_server_at_the_address(judge_of: JudgeOf) -> None:
    with FaultyServer() as gone:
        url = gone.url
    with pytest.raises(UserError, match=f"^reward.judge.url: {url}: no judge there: the connection failed"):
        judge_of(url=url)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("url=null", "reward.judge.url: a judge (mode after_rule) needs its server"),
        ("url=localhost:8000/v1", "reward.judge.url: 'localhost:8000/v1' must be an http:// or https:// address"),
        ("url=file:///etc/passwd", "must be an http:// or https:// address"),
        ("url=http://host:99999/v1", "must be an http:// or https:// address"),
        ("url=http://me:secret@host/v1", "reward.judge.url: contains credentials"),
        ("url=http://host/v1?key=secret", "reward.judge.url: contains credentials"),
        ("key_variable=my key", "reward.judge.key_variable: 'my key' is not the name of an environment variable"),
        ("requests_at_once=0", "reward.judge.requests_at_once: 0 must be from 1 to 1000"),
        ("requests_at_once=5000", "reward.judge.requests_at_once: 5000 must be from 1 to 1000"),
        ("retries=-1", "reward.judge.retries: -1 must be 0 or more"),
        ("max_tokens=0", "reward.judge.max_tokens: 0 must be 1 or more"),
        ("timeout_seconds=.inf", "reward.judge.timeout_seconds: inf must be positive and finite"),
        ("give_up_seconds=0", "reward.judge.give_up_seconds: 0.0 must be positive"),
    ],
)
def test_settings_that_make_no_judge(settings: str, problem: str) -> None:
    judge = ["reward.judge.mode=after_rule", "reward.judge.url=http://localhost:8000/v1", f"reward.judge.{settings}"]
    with pytest.raises(UserError) as caught:
        check(load_config(["data.train.task=basic_arithmetic", *judge]))
    assert problem in str(caught.value) and "secret" not in str(caught.value)


def test_a_judge_that_is_off_needs_no_server() -> None:
    check(load_config(["data.train.task=basic_arithmetic", "reward.judge.key_variable=my key"]))
    with pytest.raises(UserError):
        check_judge(JudgeConfig())


def test_openai_is_imported_only_for_a_judge() -> None:
    module = "icpo_cli.grading.judge.judge"
    script = f"import sys, {module}; print(json.dumps(sorted({{'openai', 'httpx2'}} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", f"import json; {script}"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
