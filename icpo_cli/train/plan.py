"""What a run will do and need, from its configuration alone: nothing is started and nothing fetched."""

from dataclasses import dataclass

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.model import Architecture, architecture_of

GIB = 2**30
ACTIVATION_VALUES = 34
"""Values of hidden size kept a token and layer for the backward: a transformer block's usual count."""


@dataclass(frozen=True)
class Plan:
    """Counts of a whole run; memory by part in GiB a rank, None where the model's sizes are not known yet."""

    model: str
    parameters: int | None
    iterations: int
    responses_an_iteration: int
    responses: int
    updates_an_iteration: int
    updates: int
    response_tokens_most: int
    """An iteration's, if every response runs to its limit."""
    ranks: int
    memory_gib: dict[str, float] | None


def plan(config: Config, ranks: int) -> Plan:
    """Raises UserError where the model cannot hold prompt and response."""
    architecture = architecture_of(config.model)
    if architecture is not None:
        check_lengths(config, architecture.max_position_embeddings)
    responses = config.rollout.prompts_per_iteration * config.rollout.group_size
    updates = config.rollout.prompts_per_iteration // config.learner.mini_batch_prompts
    return Plan(
        model=config.model.path,
        parameters=architecture.parameters if architecture else None,
        iterations=config.train.iterations,
        responses_an_iteration=responses,
        responses=responses * config.train.iterations,
        updates_an_iteration=updates,
        updates=updates * config.train.iterations,
        response_tokens_most=responses * config.rollout.max_response_tokens,
        ranks=ranks,
        memory_gib=memory_gib(config, architecture, ranks) if architecture else None,
    )


def check_lengths(config: Config, positions: int) -> None:
    """Prompt and response fit the model's context together."""
    wanted = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    if wanted > positions:
        raise UserError(
            f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens} + rollout.max_response_tokens "
            f"{config.rollout.max_response_tokens} = {wanted} is over the model's {positions} positions"
        )


def memory_gib(config: Config, architecture: Architecture, ranks: int) -> dict[str, float]:
    """Estimated peak of each part on one rank."""
    learner, stage = config.learner, config.learner.zero_stage
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
        "logits": 3 * learner.logit_chunk_tokens * architecture.vocab_size * 4,
        "sampler_weights": weights,
    }
    return {name: round(size / GIB, 2) for name, size in parts.items()}
