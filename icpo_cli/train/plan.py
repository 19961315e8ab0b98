"""What a run will do and need, from its configuration alone: nothing is started and nothing fetched."""

from dataclasses import dataclass

from icpo_cli.config.schema import Config, SourceConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.models.locate import architecture_of
from icpo_cli.models.sizes import check_lengths, memory_gib


@dataclass(frozen=True)
class Plan:
    """Counts of a whole run; memory by part in GiB a rank, None where the model's sizes are not known yet."""

    model: str
    parameters: int | None
    iterations: int
    responses_an_iteration: int
    """Sampled in one round, votes among them."""
    responses: int
    rounds_most: int
    """Of sampling an iteration: as many times the responses, at most."""
    updates_an_iteration: int
    updates: int
    questions: int | None
    """For training, as the source has them; None where it is on the hub, from which a plan fetches nothing."""
    heldout: int | None
    response_tokens_most: int
    """An iteration's, if every response runs to its limit."""
    ranks: int
    memory_gib: dict[str, float] | None


def plan(config: Config, ranks: int) -> Plan:
    """Raises UserError where the model cannot hold prompt and response, or a source of questions is at fault."""
    architecture = architecture_of(config.model)
    if architecture is not None:
        check_lengths(config, architecture.max_position_embeddings)
    rollout = config.rollout
    responses = rollout.prompts_per_iteration * (rollout.votes or rollout.group_size)
    updates = rollout.prompts_per_iteration // config.learner.mini_batch_prompts
    return Plan(
        model=config.model.path,
        parameters=architecture.parameters if architecture else None,
        iterations=config.train.iterations,
        responses_an_iteration=responses,
        responses=responses * config.train.iterations,
        rounds_most=rollout.max_rounds,
        updates_an_iteration=updates,
        updates=updates * config.train.iterations,
        questions=_count(config.data.train),
        heldout=None if config.data.heldout is None else _count(config.data.heldout),
        response_tokens_most=responses * rollout.max_rounds * rollout.max_response_tokens,
        ranks=ranks,
        memory_gib=memory_gib(config, architecture, ranks) if architecture else None,
    )


def _count(source: SourceConfig) -> int | None:
    """Raises UserError where the source is at fault."""
    return None if source.source == "hub" else len(load_questions(source))
