"""Time the update on synthetic groups: iteration_update.py JOB.json -> RESULT line with seconds, FLOPs and memory."""

import json
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from icpo_cli.config.load import load_config
from icpo_cli.device import device_profile
from icpo_cli.distributed import join, leave
from icpo_cli.learner.balance import forward_flops
from icpo_cli.learner.deepspeed_learner import DeepSpeedLearner
from icpo_cli.models.locate import read_config
from icpo_cli.models.sizes import Architecture
from icpo_cli.objective.loss import policy_loss
from icpo_cli.records import Gold, Group, Prompt, Response

MATRIX_SIZE = 2048
"""Rows and columns of the square matrices whose matmul measures the machine's peak."""


def groups_of(job: dict[str, Any]) -> list[Group]:
    draw = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(1000, 40000) for _ in range(count))

    prefix, length = tokens(job["shared_prefix"]), job["response_tokens"]
    return [
        Group(
            Prompt("", "", Gold("1"), prefix + tokens(job["prompt_tokens"] - job["shared_prefix"])),
            tuple(Response("", tokens(length), (0.0,) * length, "stop") for _ in range(job["group_size"])),
        )
        for _ in range(job["prompts"])
    ]


def peak_flops(dtype: torch.dtype) -> float:
    """FLOP/s of a matmul of two square matrices, the best of ten."""
    a, b = (torch.randn(MATRIX_SIZE, MATRIX_SIZE).to(dtype) for _ in range(2))
    return 2 * MATRIX_SIZE**3 / min(timed(lambda: a @ b) for _ in range(10))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def update(learner: DeepSpeedLearner, groups: list[Group]) -> None:
    """An on-policy update, as in the loop: each forward also gives the old log-probs."""
    advantage = torch.randn(len(groups), len(groups[0].responses), 1, generator=torch.Generator().manual_seed(0))
    learner.update(groups, lambda indices, old: advantage[indices] * old.mask, None)


def main(job: dict[str, Any]) -> None:
    settings = [f"{key}={value}" for key, value in job["settings"].items()]
    config = load_config([f"learner.mini_batch_prompts={job['prompts']}", *settings])
    profile = device_profile(config)
    ranks = join(profile.backend, profile.type, 600)
    groups = groups_of(job)
    sizes = Architecture.of(read_config(Path(job["model"])))
    flops = forward_flops(groups, sizes)
    learner = DeepSpeedLearner(config, job["model"], profile, ranks, policy_loss(config))
    seconds, peaks = [], []
    for _ in range(job["repeats"]):
        peaks.append(peak_flops(profile.dtype))
        seconds.append(timed(lambda: update(learner, groups)))
    result = {
        "seconds": seconds,
        "forward_flops": flops,
        "peak_flops": max(peaks),
        "embedding": sizes.vocab_size * sizes.hidden_size,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print("RESULT", json.dumps(result))
    learner.close()
    leave()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
