"""All weights reach the sampler, and a run stops if they do not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icpo_cli.errors import RunFailed
from icpo_cli.rollout.weight_sync import WeightProbe, check_weight_sync

MODELS = [(name, tied) for name in ("llama", "qwen2", "qwen3") for tied in (True, False)] + [("gemma2", True)]
SAME = WeightProbe(sampler=(-1.0, -2.0), learner=(-1.01, -2.01))


def test_a_small_gap_passes_and_a_large_one_stops_the_run() -> None:
    check_weight_sync(SAME, None, bound=0.1)
    with pytest.raises(RunFailed, match=r"differ by 0.5000 nats on average, above rollout.max_probe_gap 0.1"):
        check_weight_sync(WeightProbe((-1.0, -2.0), (-1.5, -2.5)), None, bound=0.1)


def test_a_gap_that_is_not_a_number_stops_the_run() -> None:
    with pytest.raises(RunFailed):
        check_weight_sync(WeightProbe((float("nan"),), (-1.0,)), None, bound=0.1)


def test_a_sampler_that_does_not_change_with_the_learner_is_stale() -> None:
    moved = WeightProbe(sampler=SAME.sampler, learner=(-1.03, -2.02))
    with pytest.raises(RunFailed, match="stale weights"):
        check_weight_sync(moved, SAME, bound=0.1)
    check_weight_sync(WeightProbe(SAME.sampler, SAME.learner), SAME, bound=0.1)  # the learner did not change either


@pytest.mark.engine
def test_every_weight_reaches_vllm(tmp_path: Path) -> None:
    """All weights are replaced by random ones, embedding and LM head included, then synced; one process for all."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("weight_sync_process.py")), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    *models, cuda = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] or [{}]
    assert [(each["model"], each["tied"]) for each in models] == MODELS, done.stderr[-2000:]
    for each in models:
        assert each["before"] < 1e-3 and each["stale"] > 1.0 and each["after"] < 1e-3, each
        assert each["sampled"] < 1e-3, each  # the log-probs that come with a response
        assert "did not reset its prefix cache" in each["busy"], each
    assert cuda == {"unknown": [], "tags": ["kv_cache", "weights"]}
