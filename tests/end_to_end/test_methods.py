"""Every other method through the real command: its metrics, and bit-identical resume."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from icpo_cli.runs.parquet import read_table
from tests.end_to_end.test_resume import journal_of, only_run
from tests.grading.faulty_server import Action, Asked, FaultyServer, says

pytestmark = pytest.mark.engine


class Judge(FaultyServer):
    """Replies yes if the two answers are equal strings."""

    def next_action(self, asked: Asked) -> Action:
        right, given = re.findall(r"^### (?:Ground Truth|Student) Answer: (.*)$", asked.prompt, re.MULTILINE)
        return says(f"They are compared.\nFinal Decision: {'Yes' if right == given else 'No'}")


@pytest.fixture(scope="module")
def judge_url() -> Iterator[str]:
    with Judge() as server:
        yield server.url


SHORT = ["train.iterations=3", "train.eval_every=500", "train.save_every=1", "data.heldout=null"]
ANOTHER_FORMULA = {
    "simplerl_zoo": ["reward/answer"],
    "oat_zero": ["advantage/std"],
    "rloo": ["advantage/std"],
    "cde": ["bonus/mean"],
    "reinforce+icpo": ["bonus/mean"],
}
"""Methods that compute other rewards or advantages from the same inputs: their metrics."""
ANOTHER_SOURCE = {
    "dapo": (["rollout.max_rounds=3", "reward.overlong.buffer_tokens=8"], ["groups/rounds", "reward/overlong"]),
    "general_reasoner": (["reward.judge.url=JUDGE", "reward.judge.cache=judge.sqlite"], ["verdict/correct"]),
    "ttrl": (["rollout.votes=6"], ["credit/majority_share", "credit/majority_right"]),
    "intuitor": (["data.train.answer_column=null"], ["credit/self_certainty", "verdict/no_gold"]),
    "rlpr": (["rollout.max_rounds=2"], ["credit/reference_prob"]),
    "prime": (["rollout.max_rounds=2"], ["credit/process_reward", "process/loss"]),
    "verifree": (["learner.mini_batch_prompts=6"], ["credit/reference_likelihood"]),
}
"""Methods that sample, grade or keep state in another way: their settings, and their metrics."""


@pytest.mark.parametrize("method", ANOTHER_FORMULA)
def test_a_method_trains_and_logs_its_metrics(method: str, lab_config: Path, icpo: Callable, tmp_path: Path) -> None:
    done = icpo("train", str(lab_config), f"method={method}", *SHORT, "train.iterations=1", "--json")
    assert done.status == 0, done.err
    assert all(name in journal_of(only_run(tmp_path))[-1][1] for name in ANOTHER_FORMULA[method])


@pytest.mark.parametrize("method", ANOTHER_SOURCE)
def test_killed_and_resumed_equals_undisturbed(
    method: str, lab_config: Path, judge_url: str, tmp_path: Path, icpo: Callable, icpo_killed: Callable
) -> None:
    settings, metrics = ANOTHER_SOURCE[method]
    settings = [setting.replace("JUDGE", judge_url) for setting in settings]
    train = ["train", str(lab_config), f"method={method}", *settings, *SHORT]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    stopped.mkdir()
    done = icpo(*train, cwd=whole)
    assert done.status == 0, done.err
    icpo_killed("save", 2, *train, cwd=stopped)
    undisturbed, run = only_run(whole), only_run(stopped)
    resumed = icpo("train", "--resume", run.name[:8], "--json", cwd=stopped)
    assert resumed.status == 0, resumed.err

    journal = journal_of(run)
    assert journal == journal_of(undisturbed)
    assert all(name in journal[-1][1] for name in metrics)
    weights, ours = (load_file(each / "checkpoints" / "last" / "model.safetensors") for each in (undisturbed, run))
    assert all(weights[name].equal(ours[name]) for name in weights)
    for table in sorted((undisturbed / "responses").iterdir()):
        assert read_table(table) == read_table(run / "responses" / table.name)
