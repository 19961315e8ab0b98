"""What a run will do and need, from its configuration alone: nothing is started and nothing fetched."""

from dataclasses import dataclass

from icpo_cli.config.schema import Config
from icpo_cli.model import architecture_of
from icpo_cli.sizes import check_lengths, memory_gib


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
