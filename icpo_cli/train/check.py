"""Checks of a training run's configuration that need neither model nor data."""

from collections.abc import Callable

from icpo_cli.config.check import check_evaluation, check_source
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.source import RewardSource


def check(config: Config, ranks: int = 1) -> None:
    """Raise UserError for the first key with which `ranks` processes cannot train."""
    check_evaluation(config)
    _check_group(config)
    _check_sampling(config)
    _check_reward_source(config)
    _check_mini_batch(config, ranks)
    if len(config.learner.adam_betas) != 2:
        raise UserError(f"learner.adam_betas: {config.learner.adam_betas} must be two numbers")
    if config.method.omega.min > config.method.omega.max:
        omega = config.method.omega
        raise UserError(f"method.omega.min: {omega.min} is above method.omega.max {omega.max}")
    check_source(config.data.train, "data.train")
    if config.data.heldout is not None:
        check_source(config.data.heldout, "data.heldout")


def _check_group(config: Config) -> None:
    if config.rollout.group_size == 1:
        raise UserError("rollout.group_size: must be 2 or more, because every advantage in a group of 1 is 0")
    if config.rollout.temperature == 0:
        raise UserError("rollout.temperature: must be above 0, because greedy responses of a group are equal")
    if config.reward.answer_weight + config.reward.format_weight == 0:
        raise UserError("reward.answer_weight: must be above 0 if reward.format_weight is 0")


def _check_sampling(config: Config) -> None:
    rollout, overlong = config.rollout, config.reward.overlong
    if rollout.votes is not None and rollout.votes < rollout.group_size:
        raise UserError(f"rollout.votes: {rollout.votes} is below rollout.group_size {rollout.group_size}")
    if rollout.least_accuracy > rollout.most_accuracy:
        raise UserError(
            f"rollout.least_accuracy: {rollout.least_accuracy} is above rollout.most_accuracy {rollout.most_accuracy}"
        )
    if rollout.max_rounds > 1 and rollout.keep == "all":
        raise UserError(f"rollout.max_rounds: {rollout.max_rounds} has no effect with rollout.keep=all")
    if overlong.buffer_tokens > rollout.max_response_tokens:
        raise UserError(
            f"reward.overlong.buffer_tokens: {overlong.buffer_tokens} must be from 0 to rollout.max_response_tokens "
            f"{rollout.max_response_tokens}"
        )


def _check_reward_source(config: Config) -> None:
    """Raise UserError for a setting that the reward source has no use for, or cannot work with."""
    name, source, learner = config.reward.source, REWARD_SOURCES[config.reward.source], config.learner
    if config.rollout.votes is not None and not source.uses_votes:
        raise UserError(f"rollout.votes: has no effect without reward.source={_sources(lambda each: each.uses_votes)}")
    if not source.uses_verdicts:
        for key in ("false_positive", "false_negative"):
            if getattr(config.reward.noise, key) > 0:
                raise UserError(f"reward.noise.{key}: has no effect, because reward.source={name} has no verdicts")
        if config.reward.control != "none":
            raise UserError(f"reward.control: {config.reward.control} has no effect with reward.source={name}")
    if config.data.train.answer_column is None and source.needs_gold:
        raise UserError(
            f"data.train.answer_column: must not be null, because reward.source={name} needs gold answers; "
            f"{_sources(lambda each: not each.needs_gold)} need none"
        )
    if config.data.heldout is not None and config.data.heldout.answer_column is None:
        raise UserError("data.heldout.answer_column: must not be null, because held-out accuracy needs gold answers")
    if learner.old_logprobs == "sampler" and source.needs_self_certainty:
        raise UserError(
            f"learner.old_logprobs: must be learner, because reward.source={name} needs the learner's forward pass"
        )
    if learner.importance_cap is not None and source.replaces_responses:
        raise UserError(
            f"learner.importance_cap: must be null, because reward.source={name} trains on texts that were not sampled"
        )


def _sources(chosen: Callable[[RewardSource], bool]) -> str:
    return " and ".join(name for name, source in REWARD_SOURCES.items() if chosen(source))


def _check_mini_batch(config: Config, ranks: int) -> None:
    prompts, mini = config.rollout.prompts_per_iteration, config.learner.mini_batch_prompts
    if prompts % mini:
        raise UserError(
            f"learner.mini_batch_prompts: {mini} does not divide rollout.prompts_per_iteration {prompts}; "
            f"nearest: {_nearest_divisor(prompts, mini)}"
        )
    if mini % ranks:
        raise UserError(f"learner.mini_batch_prompts: {mini} prompts cannot be shared evenly by {ranks} ranks")


def _nearest_divisor(total: int, number: int) -> int:
    divisors = [each for each in range(1, total + 1) if total % each == 0]
    return min(divisors, key=lambda each: abs(each - number))
