"""One learner on made-up groups: iteration_update.py ORDER.json -> RESULT line with seconds, products and memory."""

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
from icpo_cli.learner.deepspeed_learner import DeepSpeedLearner
from icpo_cli.learner.pack import packed_length, shared_prefix
from icpo_cli.models.locate import Architecture, read_config
from icpo_cli.objective.methods import policy_loss
from icpo_cli.records import Gold, Group, Prompt, Response

SIDE = 2048
"""Of the square matrices whose product is the measure of what the machine can do."""


def groups_of(order: dict[str, Any]) -> list[Group]:
    draw = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(1000, 40000) for _ in range(count))

    head, length = tokens(order["head"]), order["response_tokens"]
    return [
        Group(
            Prompt("", "", Gold("1"), head + tokens(order["prompt_tokens"] - order["head"])),
            tuple(Response("", tokens(length), (0.0,) * length, "stop") for _ in range(order["group_size"])),
        )
        for _ in range(order["prompts"])
    ]


def useful_products(groups: list[Group], sizes: Architecture) -> float:
    """Multiplications and additions of a forward over the tokens that are there once, prompts' shared head among them.

    Weights of the body a token, of the output head a response token, and the pairs that attention sees.
    """
    head = shared_prefix(groups)
    tokens = head + sum(packed_length(group, head) for group in groups)
    predicted = sum(len(response.tokens) for group in groups for response in group.responses)
    pairs = head * (head + 1) / 2
    for group in groups:
        prompt = len(group.prompt.tokens)
        pairs += (prompt * (prompt + 1) - head * (head + 1)) / 2
        for response in group.responses:
            inputs = len(response.tokens) - 1
            pairs += inputs * prompt + inputs * (inputs + 1) / 2
    output = sizes.vocab_size * sizes.hidden_size
    body = sizes.parameters - output * (1 if sizes.tie_word_embeddings else 2)
    attention = 4 * sizes.num_hidden_layers * sizes.num_attention_heads * sizes.head_dim * pairs
    return 2 * body * tokens + 2 * output * predicted + attention


def product_peak(dtype: torch.dtype) -> float:
    """Of a product of two square matrices, the best of ten."""
    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    return 2 * SIDE**3 / min(timed(lambda: a @ b) for _ in range(10))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def update(learner: DeepSpeedLearner, groups: list[Group]) -> None:
    """An on-policy update, as in the loop: each forward also gives the old log-probs."""
    advantage = torch.randn(len(groups), len(groups[0].responses), 1, generator=torch.Generator().manual_seed(0))
    learner.update(groups, lambda indices, old: advantage[indices] * old.mask, None)


def main(order: dict[str, Any]) -> None:
    settings = [f"{key}={value}" for key, value in order["settings"].items()]
    config = load_config([f"learner.mini_batch_prompts={order['prompts']}", *settings])
    profile = device_profile(config)
    ranks = join(profile.backend, profile.type, 600)
    groups = groups_of(order)
    sizes = Architecture.of(read_config(Path(order["model"])))
    products = useful_products(groups, sizes)
    learner = DeepSpeedLearner(config, order["model"], profile, ranks, policy_loss(config))
    seconds, peaks = [], []
    for _ in range(order["repeats"]):
        peaks.append(product_peak(profile.dtype))
        seconds.append(timed(lambda: update(learner, groups)))
    result = {
        "seconds": seconds,
        "useful_products": products,
        "product_peak": max(peaks),
        "embedding": sizes.vocab_size * sizes.hidden_size,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print("RESULT", json.dumps(result))
    learner.close()
    leave()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
