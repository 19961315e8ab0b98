"""What a configuration asks of a model's context and of a machine's memory, from sizes alone."""

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.models.locate import Architecture

GIB = 2**30
ACTIVATION_VALUES = 34
"""Values of hidden size kept a token and layer for the backward: a transformer block's usual count."""


def check_lengths(config: Config, positions: int) -> None:
    """Prompt and response fit the model's context together."""
    wanted = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    if wanted > positions:
        raise UserError(
            f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens} + rollout.max_response_tokens "
            f"{config.rollout.max_response_tokens} = {wanted} is over the model's {positions} positions"
        )


def check_cache(config: Config, architecture: Architecture) -> None:
    """The key-value cache on CPU holds at least one prompt with its response."""
    width = 2 if config.model.dtype == "bfloat16" else 4
    tokens = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    least = tokens * architecture.kv_cache_values_a_token * width / GIB
    given = config.rollout.engine.kv_cache_gib
    if given < least:
        raise UserError(
            f"rollout.engine.kv_cache_gib: {given:g} is less than one sequence takes: {tokens} tokens, {least:.3g} GiB"
        )


def memory_gib(config: Config, architecture: Architecture, ranks: int) -> dict[str, float]:
    """Estimated peak of each part on one rank."""
    learner = config.learner
    stage = (1 if config.train.device == "cpu" else 2) if learner.zero_stage is None else learner.zero_stage
    width = 2 if config.model.dtype == "bfloat16" else 4
    weights = architecture.parameters * width
    shard = {at: ranks if stage >= at else 1 for at in (1, 2, 3)}
    kept = 2 if learner.gradient_checkpointing else ACTIVATION_VALUES
    longest = config.rollout.max_prompt_tokens + config.rollout.group_size * config.rollout.max_response_tokens
    tokens = max(learner.micro_batch_tokens, longest)
    parts = {
        "policy_weights": weights / shard[3],
        "gradients": architecture.parameters * (4 if stage > 0 else width) / shard[2],
        "optimizer": architecture.parameters * (12 if width == 2 else 8) / shard[1],
        "reference": weights / shard[3] if learner.kl_coef > 0 else 0,
        "activations": tokens * architecture.hidden_size * architecture.num_hidden_layers * kept * width,
        # A chunk's, and the output head's gradient.
        "logits": architecture.vocab_size * width * (learner.logit_chunk_tokens + architecture.hidden_size),
        "sampler_weights": weights,
    }
    if config.reward.source == "process":
        own = ("policy_weights", "gradients", "optimizer")
        parts["process_model"] = sum(parts[name] for name in own) + weights / shard[3]  # and its reference
    return {name: round(size / GIB, 2) for name, size in parts.items()}
