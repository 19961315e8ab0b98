"""Gradients, losses and weights do not depend on the number of ranks or the ZeRO stage."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fork_server import ForkServer

pytestmark = pytest.mark.engine
SCRIPT = Path(__file__).with_name("learner_process.py")
FUSED = [(1, "null"), (1, "3"), (2, "null"), (2, "2"), (2, "3")]
"""(ranks, ZeRO stage)"""
CASES = {
    (1, "float32:2:"),
    *((2, f"float32:{stage}:") for stage in (0, 2, 3)),
    *((ranks, f"bfloat16:{stage}:") for ranks in (1, 2) for stage in ("null", 2, 3)),
    *((ranks, f"float32:{stage}:{how}") for ranks, stage in FUSED for how in ("", "fused")),
    *((2, f"float32:{stage}:poison") for stage in (0, 2, 3)),
}
"""(ranks, dtype:ZeRO stage:how)"""


@pytest.fixture(scope="module")
def run(lab_model: Path, fork_server: ForkServer) -> Callable[..., dict[str, Any]]:
    """Results of rank 0, by case. All cases with the same number of ranks share their processes."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for ranks in (1, 2):
        cases = sorted(case for size, case in CASES if size == ranks)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        arguments = [str(lab_model), *cases]
        processes = [
            fork_server.start(str(SCRIPT), arguments, SCRIPT.parent, {**place, "RANK": rank, "LOCAL_RANK": rank})
            for rank in map(str, range(ranks))
        ]
        for process in processes:
            assert process.wait() == 0, process.communicate()[1][-3000:]
        lines = [line for line in processes[0].communicate()[0].splitlines() if line.startswith("{")]
        found |= {(ranks, case): json.loads(line) for case, line in zip(cases, lines, strict=True)}
    return lambda ranks, stage, how="", dtype="float32": found[ranks, f"{dtype}:{stage}:{how}"]


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_two_ranks_equal_one(run: Callable, zero_stage: int) -> None:
    one, two = run(1, 2), run(2, zero_stage)
    assert len(one["updates"]) == 2
    for left, right in zip(one["updates"], two["updates"], strict=True):
        for name in ("loss", "policy_loss", "kl", "clip_fraction", "grad_norm"):
            assert right[name] == pytest.approx(left[name], rel=1e-4, abs=1e-7), name
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("zero_stage", ["null", 2, 3])
def test_gradients_of_ranks_and_micro_batches_add_up_in_float32(run: Callable, zero_stage: int | str) -> None:
    """bfloat16 results depend on the split into micro-batches; gradients counted twice differ by far more."""
    one, two = (run(ranks, zero_stage, dtype="bfloat16") for ranks in (1, 2))
    for left, right in zip(one["updates"], two["updates"], strict=True):
        for name in ("loss", "kl", "grad_norm"):
            assert right[name] == pytest.approx(left[name], rel=0.05, abs=1e-3), name


@pytest.mark.parametrize(("ranks", "zero_stage"), FUSED)
def test_fusing_the_first_forward_changes_nothing(run: Callable, ranks: int, zero_stage: int | str) -> None:
    separate, fused = run(ranks, zero_stage), run(ranks, zero_stage, "fused")
    assert separate["updates"][0]["log_ratio"] == 0 and separate["updates"][1]["log_ratio"] > 0
    assert fused == separate


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_a_poisoned_update_is_skipped_on_every_rank(run: Callable, zero_stage: int) -> None:
    result = run(2, zero_stage, "poison")
    assert [update["skipped"] for update in result["updates"]] == [False, True]
    assert result["finite"]
