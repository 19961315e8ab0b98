"""Learners on fixed groups, one after another, as one or several ranks: rank 0 prints a line of results for each.

Arguments: the model, then cases DTYPE:ZERO_STAGE:HOW. Run by test_ranks.py. HOW: "poison" makes an advantage NaN;
"fused" lets the forward of the first update compute the old log-probs; "recomputed" checkpoints the layers;
"save=FOLDER" saves the state after the two updates, then makes two more; "load=FOLDER" makes those from the state.
"""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from icpo_cli.config.load import load_config
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks, join, leave
from icpo_cli.learner import deepspeed_learner
from icpo_cli.objective.loss import policy_loss
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response, Update


def main(model: str, cases: Sequence[str]) -> None:
    profile = device_profile(load_config([]))
    ranks = join(profile.backend, profile.type, 60)
    partition_small_weights()
    for case in cases:
        result = train(model, ranks, *case.split(":"))
        if ranks.first:
            print(json.dumps(result))
    leave()


def partition_small_weights() -> None:
    """By default ZeRO 3 does not partition weights of under 100,000 values, which are all of a tiny model's."""
    real = deepspeed_learner.deepspeed_config

    def config(*arguments: Any) -> dict[str, Any]:
        made = real(*arguments)
        made["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return made

    vars(deepspeed_learner)["deepspeed_config"] = config


def train(model: str, ranks: Ranks, dtype: str, zero_stage: str, how: str) -> dict[str, Any]:
    """Two updates of a new learner; the statistics, the old log-probs and the sum of every weight."""
    config = load_config(
        [
            f"model.dtype={dtype}",
            f"learner.zero_stage={zero_stage}",
            "learner.mini_batch_prompts=4",
            "learner.learning_rate=1e-3",
            "learner.kl_coef=0.1",
            "learner.micro_batch_tokens=90",
            f"learner.gradient_checkpointing={str(how == 'recomputed').lower()}",
        ]
    )
    learner = deepspeed_learner.DeepSpeedLearner(config, model, device_profile(config), ranks, policy_loss(config))
    draw = random.Random(1)

    def tokens(high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(60) for _ in range(draw.randint(1, high)))

    groups = [
        Group(Prompt("", "", Gold(""), tokens(20)), tuple(Response("", tokens(15), (), "stop") for _ in range(5)))
        for _ in range(8)
    ]
    advantage = torch.randn(8, 5, generator=torch.Generator().manual_seed(3))
    if how == "poison":
        advantage[5, 0] = float("nan")  # in the second mini-batch, on one rank only
    mine = ranks.shard(range(8))
    groups = [groups[index] for index in mine]
    advantage = advantage[mine]

    def advantage_of(indices: Sequence[int], old: LogProbs) -> torch.Tensor:
        return advantage[indices][..., None] * old.mask

    what, _, folder = how.partition("=")
    updates: list[Update] = []
    old: LogProbs | None = None
    for step in range(2 if what == "save" else 1):
        if what == "load":
            learner.load_state(Path(folder))
        old = None if how == "fused" else learner.logprobs(groups)
        old, updates = learner.update(groups, advantage_of, old)
        if what == "save" and step == 0:
            learner.save_state(Path(folder))
    weights = {name: weight.clone() for name, weight in learner.named_weights()}
    saved = saved_model(learner, ranks)
    if what == "save" and ranks.first:
        save_file(weights, Path(folder) / "after.safetensors")
    undisturbed = load_file(Path(folder) / "after.safetensors") if what == "load" else weights
    learner.close()
    return {
        "updates": [vars(update) for update in updates],
        "weights": {name: float(weight.double().sum()) for name, weight in weights.items()},
        "finite": all(bool(torch.isfinite(weight).all()) for weight in weights.values()),
        "old": old.logprob.tolist() if old is not None else None,
        "difference": max(float((weights[name] - undisturbed[name]).abs().max()) for name in weights),
        "saved": all(saved[name].equal(weight) for name, weight in weights.items()) if ranks.first else None,
    }


def saved_model(learner: deepspeed_learner.DeepSpeedLearner, ranks: Ranks) -> dict[str, torch.Tensor]:
    """The weights of the folder that save_model writes."""
    with TemporaryDirectory() as folder:
        learner.save_model(Path(folder))
        return load_file(Path(folder) / "model.safetensors") if ranks.first else {}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
