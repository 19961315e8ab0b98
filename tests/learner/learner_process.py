"""One learner on fixed groups, as one or several ranks: prints the result of rank 0. Run by test_ranks.py.

HOW: "poison" makes an advantage NaN; "fused" lets the forward of the first update compute the old log-probs.
"""

import json
import random
import sys
from collections.abc import Sequence

import torch

from icpo_cli.config.load import load_config
from icpo_cli.device import device_profile
from icpo_cli.distributed import join, leave
from icpo_cli.learner.deepspeed_learner import DeepSpeedLearner
from icpo_cli.objective.loss import policy_loss
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response


def main(model: str, dtype: str, zero_stage: str, how: str) -> None:
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
    profile = device_profile(config)
    ranks = join(profile.backend, profile.type, 60)
    learner = DeepSpeedLearner(config, model, profile, ranks, policy_loss(config))
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
    if ranks.first:
        total = {name: float(weight.double().sum()) for name, weight in weights.items()}
        finite = all(bool(torch.isfinite(weight).all()) for weight in weights.values())
        print(
            "RESULT",
            json.dumps(
                {"updates": [vars(u) for u in updates], "weights": total, "finite": finite, "old": old.logprob.tolist()}
            ),
        )
    learner.close()
    leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
