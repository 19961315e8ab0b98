"""docs/METRICS.md has one line for every logged metric, and no others."""

import re
from pathlib import Path

import pytest
import torch

from icpo_cli.config.load import load_config
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.score import score
from icpo_cli.evaluate.table import metrics_of
from icpo_cli.records import Gold, Prompt, Update
from icpo_cli.train.metrics import (
    machine_metrics,
    process_metrics,
    response_metrics,
    rollout_metrics,
    update_metrics,
)
from tests.evaluate.test_score import part_of
from tests.train.tables import Graded, table_of

PAGE = Path(__file__).parents[2] / "docs" / "METRICS.md"
ELSEWHERE = {"verdict/no_gold", "logprob_gap/probe", "groups/rounds"}
"""Logged by the loop and the record themselves."""
CREDITS = {
    "credit/majority_share",
    "credit/majority_right",
    "credit/self_certainty",
    "credit/reference_prob",
    "credit/reference_prob_alone",
    "credit/reference_likelihood",
    "credit/reference_placed",
    "credit/process_reward",
    "credit/process_agrees",
}
"""Metrics of reward sources other than the verifier."""


def documented() -> set[str]:
    """Metric names on the page; "a/b, c" is short for a/b and a/c."""
    names: set[str] = set()
    for cell in re.findall(r"^\| (.+?) \|", PAGE.read_text(), re.MULTILINE):
        prefix = ""
        for name in cell.split(", "):
            names.add(name if "/" in name or not prefix else f"{prefix}/{name}")
            prefix = name.rpartition("/")[0] or prefix
    return names - {"name", "---"}


def logged() -> set[str]:
    prompt = Prompt("p", "q", Gold("7"), (1,))
    config = load_config(["data.train.task=x"])
    seconds = dict.fromkeys(("rollout", "reward", "logprobs", "update", "sync"), 1.0)
    names = set(response_metrics(table_of([Graded(prompt, "+-")], config), 2, 1.0))
    names |= set(update_metrics([Update(0.0, 0.0, 0.0, 0.0, 0.0, None, 0.0, skipped=False)]))
    names |= set(process_metrics([Update(0.0, 0.0, 0.0, 0.0, 0.0, None, 0.0, skipped=False)]))
    alone = Ranks(0, 1, 0, torch.device("cpu"))
    names |= set(machine_metrics(seconds, 1.0, 1.0, alone, peak=1.0)) | {"memory/peak_device_gib"}
    names |= set(rollout_metrics([[[1.0]]]))
    evaluated = set(metrics_of([score(part_of(["++", "+-", "--", "00"]))]))
    return names | {_general(name) for name in evaluated} | ELSEWHERE | CREDITS


def _general(name: str) -> str:
    """The name in the page's form, with BENCH, K and KIND as placeholders."""
    for form, word in (
        (r"\bsums\b|(?<=eval_)sums", "BENCH"),
        (r"(?<=pass_at_)\d+", "K"),
        (r"(?<=/verdict/).*", "KIND"),
    ):
        name = re.sub(form, word, name)
    return name


@pytest.mark.parametrize("which", ["logged but not on the page", "on the page but not logged"])
def test_the_page_is_what_is_logged(which: str) -> None:
    page, code = documented(), logged()
    assert sorted(code - page if which.startswith("logged") else page - code) == []
