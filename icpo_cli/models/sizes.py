"""Model sizes, and whether prompts and key-value cache fit."""

from dataclasses import dataclass
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

GIB = 2**30


@dataclass(frozen=True)
class Architecture:
    """The sizes that determine a model's parameter count, memory and context."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    tie_word_embeddings: bool
    max_position_embeddings: int
    soft_capped: bool = False
    """Attention scores are soft-capped, so that attention stores them."""

    @property
    def parameters(self) -> int:
        """Weights of the matrices, without norms and biases (well under 0.1 %)."""
        attention = self.hidden_size * self.head_dim * 2 * (self.num_attention_heads + self.num_key_value_heads)
        mlp = 3 * self.hidden_size * self.intermediate_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return embeddings + self.num_hidden_layers * (attention + mlp)

    @property
    def kv_cache_values_a_token(self) -> int:
        """Values in the key-value cache per token."""
        return 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Architecture":
        """Read the sizes from the contents of a config.json."""
        heads = config["num_attention_heads"]
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            num_hidden_layers=config["num_hidden_layers"],
            num_attention_heads=heads,
            num_key_value_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate_size=config["intermediate_size"],
            tie_word_embeddings=config.get("tie_word_embeddings", config["model_type"].startswith("gemma")),
            max_position_embeddings=config["max_position_embeddings"],
            soft_capped=config.get("attn_logit_softcapping") is not None,
        )


KNOWN_MODELS = {
    "smollm2": Architecture(49152, 576, 30, 9, 3, 64, 1536, True, 8192),
    "lab": Architecture(79, 160, 4, 5, 5, 32, 416, True, 256),
    "Qwen/Qwen2.5-3B": Architecture(151936, 2048, 36, 16, 2, 128, 11008, True, 32768),
    "Qwen/Qwen2.5-7B": Architecture(152064, 3584, 28, 28, 4, 128, 18944, False, 131072),
    "Qwen/Qwen2.5-7B-Instruct": Architecture(152064, 3584, 28, 28, 4, 128, 18944, False, 32768),
    "Qwen/Qwen2.5-14B": Architecture(152064, 5120, 48, 40, 8, 128, 13824, False, 131072),
    "Qwen/Qwen3-4B-Base": Architecture(151936, 2560, 36, 32, 8, 128, 9728, True, 32768),
    "meta-llama/Llama-3.1-8B-Instruct": Architecture(128256, 4096, 32, 32, 8, 128, 14336, False, 131072),
    "google/gemma-2-2b-it": Architecture(256000, 2304, 26, 8, 4, 256, 9216, True, 8192, True),
}
"""Sizes from their config.json files, so that a run can be planned before its model is fetched."""


def check_lengths(config: Config, positions: int) -> None:
    """Raise UserError unless prompt and response fit the model's context together."""
    total = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    if total > positions:
        raise UserError(
            f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens} + rollout.max_response_tokens "
            f"{config.rollout.max_response_tokens} = {total} is over the model's {positions} positions"
        )


def check_cache(config: Config, architecture: Architecture) -> None:
    """Raise UserError unless the key-value cache on CPU fits one prompt with its response."""
    width = 2 if config.model.dtype == "bfloat16" else 4
    tokens = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    least = tokens * architecture.kv_cache_values_a_token * width / GIB
    given = config.rollout.engine.kv_cache_gib
    if given < least:
        raise UserError(
            f"rollout.engine.kv_cache_gib: {given:g} is too small: a sequence of {tokens} tokens needs {least:.3g} GiB"
        )
