"""Checks across config keys that need neither model nor data; bounds of single keys are in the schema."""

from urllib.parse import urlsplit

from icpo_cli.config.schema import Config, JudgeConfig, RewardConfig, SourceConfig
from icpo_cli.config.setting import check_bounds
from icpo_cli.errors import UserError

SOURCES_WITHOUT_GOLD = ("majority", "self_certainty")
"""Values of reward.source that need no gold answers."""


def check(config: Config, ranks: int = 1) -> None:
    """Raise UserError for the first key with which `ranks` processes cannot train."""
    check_evaluation(config)
    _check_group(config)
    _check_sampling(config)
    _check_source(config.reward)
    _check_golds(config)
    _check_old_logprobs(config)
    _check_mini_batch(config, ranks)
    if config.method.omega.min > config.method.omega.max:
        omega = config.method.omega
        raise UserError(f"method.omega.min: {omega.min} is above method.omega.max {omega.max}")
    check_source(config.data.train, "data.train")
    if config.data.heldout is not None:
        check_source(config.data.heldout, "data.heldout")


def check_evaluation(config: Config) -> None:
    """Raise UserError for a key out of bounds, or for the first key that an evaluation cannot use."""
    check_bounds(config)
    if not config.name.strip() or any(not char.isprintable() for char in config.name):
        raise UserError(f"name: {config.name!r} must be printable text")
    if config.eval.temperature == 0 and config.eval.k is not None and config.eval.k > 1:
        raise UserError(f"eval.k: {config.eval.k} needs eval.temperature above 0, because greedy responses are equal")
    if "few_shot" in (config.data.template, config.eval.template) and not config.data.examples:
        raise UserError("data.examples: the few_shot template needs one worked example or more")
    if urlsplit(config.track.uri or "").password is not None:
        raise UserError("track.uri: contains a password; use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    if config.reward.judge.mode != "off":
        check_judge(config.reward.judge)


def check_source(source: SourceConfig, key: str) -> None:
    """Raise UserError if the data source at `key` lacks a key that its kind needs."""
    if source.source == "reasoning_gym" and not source.task:
        raise UserError(f"{key}.task: name a reasoning_gym task, or set {key}.source to file or hub")
    if source.source != "reasoning_gym" and not source.path:
        raise UserError(f"{key}.path: a source of kind {source.source} needs a path")


def check_judge(judge: JudgeConfig) -> None:
    """Raise UserError for the first key that a judge cannot use."""
    check_bounds(judge, "reward.judge.")
    _check_judge_url(judge)
    if not judge.key_variable.isidentifier():
        raise UserError(f"reward.judge.key_variable: {judge.key_variable!r} is not the name of an environment variable")


def _check_judge_url(judge: JudgeConfig) -> None:
    """Raise UserError unless the url is an address without secrets: it is stored with the run and shown in messages."""
    if not judge.url:
        raise UserError(
            f"reward.judge.url: a judge (mode {judge.mode}) needs its server, as in http://localhost:8000/v1"
        )
    try:
        parts = urlsplit(judge.url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if valid and (parts.username is not None or parts.password is not None or parts.query or parts.fragment):
        raise UserError(
            "reward.judge.url: contains credentials, a query or a fragment; give only the address, and the key in the "
            f"environment variable {judge.key_variable}"
        )
    if not valid or not judge.url.isprintable() or " " in judge.url:
        raise UserError(f"reward.judge.url: {judge.url!r} must be an http:// or https:// address")


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
    if rollout.votes is not None and config.reward.source != "majority":
        raise UserError("rollout.votes: has no effect without reward.source=majority")
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


def _check_source(reward: RewardConfig) -> None:
    """Raise UserError for noise or a control on verdicts if the reward has no verdicts."""
    if reward.source in ("verifier", "process"):
        return
    for key in ("false_positive", "false_negative"):
        if getattr(reward.noise, key) > 0:
            raise UserError(f"reward.noise.{key}: has no effect, because reward.source={reward.source} has no verdicts")
    if reward.control != "none":
        raise UserError(f"reward.control: {reward.control} has no effect with reward.source={reward.source}")


def _check_golds(config: Config) -> None:
    source = config.reward.source
    if config.data.train.answer_column is None and source not in SOURCES_WITHOUT_GOLD:
        raise UserError(
            f"data.train.answer_column: must not be null, because reward.source={source} needs gold answers; "
            f"{' and '.join(SOURCES_WITHOUT_GOLD)} need none"
        )
    if config.data.heldout is not None and config.data.heldout.answer_column is None:
        raise UserError("data.heldout.answer_column: must not be null, because held-out accuracy needs gold answers")


def _check_old_logprobs(config: Config) -> None:
    source, learner = config.reward.source, config.learner
    if learner.old_logprobs == "sampler" and source == "self_certainty":
        raise UserError(
            "learner.old_logprobs: must be learner, because reward.source=self_certainty needs the learner's forward "
            "pass"
        )
    if learner.importance_cap is not None and source == "likelihood":
        raise UserError(
            "learner.importance_cap: must be null, because reward.source=likelihood trains on texts that were not "
            "sampled"
        )


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
