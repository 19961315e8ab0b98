"""Gradients, losses, weights and saved states do not depend on the number of ranks or the ZeRO stage."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from icpo_cli.config.schema import LearnerConfig
from icpo_cli.distributed import Ranks
from tests.fork_server import ForkServer

pytestmark = pytest.mark.engine
SCRIPT = Path(__file__).with_name("learner_process.py")
FUSED = [(1, "null"), (1, "3"), (2, "null"), (2, "2"), (2, "3")]
"""(ranks, ZeRO stage)"""
SAVED = [(1, "null"), (2, "0"), (2, "null"), (2, "2"), (2, "3")]
RESUMED = {
    "float32": [
        *(((1, "null"), to) for to in SAVED),
        *((was, (1, "null")) for was in SAVED[1:]),
        *((stage, stage) for stage in SAVED[1:]),
        ((2, "2"), (2, "3")),
        ((1, "null"), (4, "3")),
    ],
    "bfloat16": [*(((1, "null"), to) for to in SAVED[1:]), *((stage, stage) for stage in SAVED)],
}
"""dtype: (ranks and stage of the run that saved, those of the run that loaded)"""
Case = tuple[int, str]
"""(ranks, dtype:ZeRO stage:how)"""


def save_cases(folder: Path) -> set[Case]:
    return {
        (ranks, f"{dtype}:{stage}:save={folder}/{dtype}-{ranks}-{stage}")
        for dtype, pairs in RESUMED.items()
        for (ranks, stage), _ in pairs
    }


def load_cases(folder: Path) -> set[Case]:
    return {
        (ranks, f"{dtype}:{stage}:load={folder}/{dtype}-{was[0]}-{was[1]}")
        for dtype, pairs in RESUMED.items()
        for was, (ranks, stage) in pairs
    }


CASES: set[Case] = {
    (1, "float32:2:"),
    *((2, f"float32:{stage}:") for stage in (0, 2, 3)),
    (4, "float32:3:"),
    *((ranks, f"bfloat16:{stage}:") for ranks in (1, 2) for stage in ("null", 2, 3)),
    *((ranks, f"float32:{stage}:{how}") for ranks, stage in FUSED for how in ("", "fused")),
    *((ranks, "float32:3:recomputed") for ranks in (1, 2)),
    *((2, f"float32:{stage}:poison") for stage in (0, 2, 3)),
}


@pytest.fixture(scope="module")
def run(
    lab_model: Path, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """Results of rank 0, by case. Cases with the same number of ranks share their processes."""
    folder = tmp_path_factory.mktemp("states")
    found: dict[Case, dict[str, Any]] = {}
    for batch in (CASES | save_cases(folder), load_cases(folder)):
        for ranks in (1, 2, 4):
            found |= results(ranks, sorted(case for size, case in batch if size == ranks), lab_model, fork_server)
    return lambda ranks, stage, how="", dtype="float32": found[
        ranks, f"{dtype}:{stage}:{how.replace('=', f'={folder}/{dtype}-')}"
    ]


def results(ranks: int, cases: list[str], model: Path, fork_server: ForkServer) -> dict[Case, dict[str, Any]]:
    """Results of rank 0. Four ranks are those of two hosts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    place["LOCAL_WORLD_SIZE"] = str(min(ranks, 2))
    processes = [
        fork_server.start(str(SCRIPT), [str(model), *cases], SCRIPT.parent, {**place, "RANK": rank, "LOCAL_RANK": rank})
        for rank in map(str, range(ranks))
    ]
    for process in processes:
        assert process.wait() == 0, process.communicate()[1][-3000:]
    lines = [line for line in processes[0].communicate()[0].splitlines() if line.startswith("{")]
    return {(ranks, case): json.loads(line) for case, line in zip(cases, lines, strict=True)}


@pytest.mark.parametrize(("ranks", "zero_stage"), [(2, 0), (2, 2), (2, 3), (4, 3)])
def test_several_ranks_equal_one(run: Callable, ranks: int, zero_stage: int) -> None:
    one, two = run(1, 2), run(ranks, zero_stage)
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


@pytest.mark.parametrize("ranks", [1, 2])
def test_layers_that_are_recomputed_give_the_same_update(run: Callable, ranks: int) -> None:
    kept, recomputed = run(1, "null"), run(ranks, 3, "recomputed")
    assert recomputed["weights"] == pytest.approx(kept["weights"], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("ranks", "zero_stage"), [(1, "null"), (1, 3), (2, 0), (2, 2), (2, 3)])
def test_the_saved_model_has_the_weights(run: Callable, ranks: int, zero_stage: int | str) -> None:
    assert run(ranks, zero_stage)["saved"]


@pytest.mark.parametrize(
    ("dtype", "was", "now"), [(dtype, was, now) for dtype, pairs in RESUMED.items() for was, now in pairs]
)
def test_a_state_is_resumed_on_other_ranks_and_stages(run: Callable, dtype: str, was: Case, now: Case) -> None:
    """The next update gives the undisturbed run's weights: bit for bit with equal ranks and stage."""
    result = run(*now, f"load={was[0]}-{was[1]}", dtype=dtype)
    within = 0.0 if was == now else {"float32": 1e-5, "bfloat16": 0.004}[dtype]
    assert result["difference"] <= within


@pytest.mark.parametrize(
    ("stage", "hosts", "device", "overlap", "within"),
    [
        (1, 1, "cuda", False, 1),
        (2, 1, "cpu", False, 1),
        (2, 2, "cuda", True, 1),
        (3, 1, "cuda", True, 1),
        (3, 2, "cuda", True, 8),
    ],
)
def test_zero_gathers_weights_within_a_host_and_overlaps_communication(
    stage: int, hosts: int, device: str, overlap: bool, within: int
) -> None:
    from icpo_cli.learner.deepspeed_learner import deepspeed_config

    ranks = Ranks(0, 8 * hosts, 8, torch.device(device))
    zero = deepspeed_config(LearnerConfig(), stage, torch.bfloat16, ranks)["zero_optimization"]
    assert (zero["overlap_comm"], zero["zero_hpz_partition_size"]) == (overlap, within)


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_a_poisoned_update_is_skipped_on_every_rank(run: Callable, zero_stage: int) -> None:
    result = run(2, zero_stage, "poison")
    assert [update["skipped"] for update in result["updates"]] == [False, True]
    assert result["finite"]
