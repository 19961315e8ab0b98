"""Learners on fixed groups, one after another, as one or several ranks: rank 0 prints a line of results for each.

Arguments: the model, then cases DTYPE:ZERO_STAGE:HOW. Run by test_ranks.py. HOW: "poison" makes an advantage NaN;
"fused" lets the forward of the first update compute the old log-probs.
"""

import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import torch

from icpo_cli.config.load import load_config
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks, join, leave
from icpo_cli.learner.deepspeed_learner import DeepSpeedLearner
from icpo_cli.objective.loss import policy_loss
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response


def main(model: str, cases: Sequence[str]) -> None:
    profile = device_profile(load_config([]))
    ranks = join(profile.backend, profile.type, 60)
    for case in cases:
        result = train(model, ranks, *case.split(":"))
        if ranks.first:
            print(json.dumps(result))
    leave()


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
        ]
    )
    learner = DeepSpeedLearner(config, model, device_profile(config), ranks, policy_loss(config))
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

    old = None if how == "fused" else learner.logprobs(groups)
    old, updates = learner.update(groups, advantage_of, old)
    weights = {name: weight.clone() for name, weight in learner.named_weights()}
    learner.close()
    return {
        "updates": [vars(update) for update in updates],
        "weights": {name: float(weight.double().sum()) for name, weight in weights.items()},
        "finite": all(bool(torch.isfinite(weight).all()) for weight in weights.values()),
        "old": old.logprob.tolist(),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
