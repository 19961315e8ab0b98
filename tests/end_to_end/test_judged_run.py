"""A run with a judge over HTTP that is killed while grading: the resumed run repeats no answered request."""

from collections.abc import Callable
from pathlib import Path

import pytest

from icpo_cli.runs.journal import Journal
from tests.grading.faulty_server import FaultyServer

pytestmark = pytest.mark.engine


def test_a_run_killed_while_grading_asks_the_judge_nothing_twice(
    lab_config: Path, tmp_path: Path, icpo: Callable, icpo_killed: Callable
) -> None:
    with FaultyServer() as server:
        settings = [
            "reward.judge.mode=alone",
            f"reward.judge.url={server.url}",
            f"reward.judge.cache={tmp_path / 'judge.sqlite'}",
            "reward.judge.requests_at_once=1",
            "train.iterations=2",
        ]
        icpo_killed("judge", 25, "train", str(lab_config), *settings)
        before = len(server.asked)
        [run] = (tmp_path / "runs").iterdir()
        resumed = icpo("train", "--resume", run.name, "--json")
        assert resumed.status == 0, resumed.err
        prompts = [request.prompt for request in server.asked]
    assert before == 25 and len(prompts) > before
    assert len(set(prompts)) == len(prompts)
    iterations = [e.metrics for e in Journal(run / "journal.jsonl").entries() if "verdict/correct" in e.metrics]
    assert [each["verdict/correct"] + each["verdict/no_answer"] for each in iterations] == [24, 24]
