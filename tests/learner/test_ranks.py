"""Gradients, losses and weights do not depend on the number of ranks or the ZeRO stage."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("learner_process.py")


@cache
def run(model: Path, ranks: int, zero_stage: int | str, how: str = "", dtype: str = "float32") -> dict:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    done = subprocess.run(
        [*torchrun, str(SCRIPT), str(model), dtype, str(zero_stage), how],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "RESULT" in line]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].split("RESULT", 1)[1])


@pytest.mark.engine
@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_two_ranks_equal_one(lab_model: Path, zero_stage: int) -> None:
    one, two = run(lab_model, 1, 2), run(lab_model, 2, zero_stage)
    assert len(one["updates"]) == 2
    for left, right in zip(one["updates"], two["updates"], strict=True):
        for name in ("loss", "policy_loss", "kl", "clip_fraction", "grad_norm"):
            assert right[name] == pytest.approx(left[name], rel=1e-4, abs=1e-7), name
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-4)


@pytest.mark.engine
@pytest.mark.parametrize("zero_stage", ["null", 2, 3])
def test_gradients_of_ranks_and_micro_batches_add_up_in_float32(lab_model: Path, zero_stage: int | str) -> None:
    """bfloat16 results depend on the split into micro-batches; gradients counted twice differ by far more."""
    one, two = (run(lab_model, ranks, zero_stage, dtype="bfloat16") for ranks in (1, 2))
    for left, right in zip(one["updates"], two["updates"], strict=True):
        for name in ("loss", "kl", "grad_norm"):
            assert right[name] == pytest.approx(left[name], rel=0.05, abs=1e-3), name


@pytest.mark.engine
@pytest.mark.parametrize(("ranks", "zero_stage"), [(1, "null"), (1, 3), (2, "null"), (2, 2), (2, 3)])
def test_fusing_the_first_forward_changes_nothing(lab_model: Path, ranks: int, zero_stage: int | str) -> None:
    separate, fused = run(lab_model, ranks, zero_stage), run(lab_model, ranks, zero_stage, "fused")
    assert separate["updates"][0]["log_ratio"] == 0 and separate["updates"][1]["log_ratio"] > 0
    assert fused == separate


@pytest.mark.engine
@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_a_poisoned_update_is_skipped_on_every_rank(lab_model: Path, zero_stage: int) -> None:
    result = run(lab_model, 2, zero_stage, "poison")
    assert [update["skipped"] for update in result["updates"]] == [False, True]
    assert result["finite"]
