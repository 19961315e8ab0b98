"""The plan of a training run, from its configuration alone: nothing is started and nothing downloaded."""

from dataclasses import dataclass

from icpo_cli.config.schema import Config, SourceConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.models.locate import architecture_of
from icpo_cli.models.sizes import check_lengths, memory_gib


@dataclass(frozen=True)
class TrainPlan:
    """Counts of a whole run."""

    model: str
    parameters: int | None
    iterations: int
    responses_an_iteration: int
    """Sampled in one round, majority votes included."""
    responses: int
    rounds_most: int
    """Most sampling rounds of an iteration; each round samples `responses_an_iteration`."""
    updates_an_iteration: int
    updates: int
    questions: int | None
    """Training questions of the source; None for a source on the hub, because a plan downloads nothing."""
    heldout: int | None
    response_tokens_most: int
    """Response tokens of one iteration if every response has the maximum length."""
    ranks: int
    memory_gib: dict[str, float] | None
    """Per rank, by part; None while the sizes of the model are unknown."""


def plan(config: Config, ranks: int) -> TrainPlan:
    """Raises UserError if prompt and response do not fit the model, or a source of questions is invalid."""
    architecture = architecture_of(config.model)
    if architecture is not None:
        check_lengths(config, architecture.max_position_embeddings)
    rollout = config.rollout
    responses = rollout.prompts_per_iteration * (rollout.votes or rollout.group_size)
    updates = rollout.prompts_per_iteration // config.learner.mini_batch_prompts
    return TrainPlan(
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
    """Number of questions; None for a source on the hub. Raises UserError for an invalid source."""
    return None if source.source == "hub" else len(load_questions(source))
