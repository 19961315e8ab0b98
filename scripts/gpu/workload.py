"""Models with random weights at real shapes, and groups with the lengths of a real rollout."""

import copy
import math
import random
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, Gemma2Config, PretrainedConfig, Qwen2Config

from icpo_cli.learner.policy import Policy
from icpo_cli.models.sizes import Architecture
from icpo_cli.records import Gold, Group, Prompt, Response


@dataclass(frozen=True)
class Device:
    """Where the checks run. `tiny`: small models and short texts, for a CPU."""

    type: str
    tiny: bool

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.type == "cpu" else torch.bfloat16


SHAPES = {  # hidden, layers, heads, key heads, MLP, tied, vocabulary
    "0.5B": (896, 24, 14, 2, 4864, True, 151936),
    "1.5B": (1536, 28, 12, 2, 8960, True, 151936),
    "7B": (3584, 28, 28, 4, 18944, False, 152064),
    "14B": (5120, 48, 40, 8, 13824, False, 152064),
    "tiny": (64, 2, 4, 2, 128, True, 512),
}
"""The shapes of Qwen2.5."""


def model_config(shape: str) -> PretrainedConfig:
    """The configuration of Qwen2.5 in one of SHAPES, or of Gemma2-2B."""
    if shape == "Gemma2-2B":
        return Gemma2Config(
            vocab_size=256000,
            hidden_size=2304,
            num_hidden_layers=26,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=256,
            intermediate_size=9216,
            max_position_embeddings=8192,
            pad_token_id=0,
        )
    hidden, layers, heads, key_heads, mlp, tied, vocabulary = SHAPES[shape]
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        intermediate_size=mlp,
        tie_word_embeddings=tied,
        max_position_embeddings=32768,
        pad_token_id=0,
    )


def architecture(shape: str) -> Architecture:
    config = model_config(shape)
    return Architecture.of(config.to_dict() | {"model_type": config.model_type})


def policy_of(config: PretrainedConfig, device: Device, dtype: torch.dtype, chunk: int, checkpointing: bool) -> Policy:
    """A policy with random weights; `chunk`: tokens per chunk of logits."""
    torch.manual_seed(0)
    with torch.device(device.type):
        # A copy, because Policy writes its attention implementation into the configuration.
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=dtype)
    return Policy(model, chunk, gradient_checkpointing=checkpointing).train()


def draw_groups(
    count: int, mean: float, longest: int, vocabulary: int, prompt: int = 140, prefix: int = 110
) -> list[Group]:
    """Groups of 5 responses with log-normal lengths, cut off at `longest` tokens."""
    draw = random.Random(1)

    def tokens(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, vocabulary) for _ in range(length))

    def length(mean: float, longest: int) -> int:
        return max(4, min(longest, int(draw.lognormvariate(math.log(mean) - 0.245, 0.7))))

    shared = tokens(prefix)
    return [
        Group(
            Prompt("", "", Gold(""), shared + tokens(length(prompt, 1900))),
            tuple(Response("", tokens(length(mean, longest)), (), "stop") for _ in range(5)),
        )
        for _ in range(count)
    ]


def paper_groups(count: int, vocabulary: int, device: Device) -> list[Group]:
    """Lengths like the paper's: 900 tokens on average, cut off at 3,072."""
    return draw_groups(count, 20 if device.tiny else 900, 60 if device.tiny else 3072, vocabulary)
