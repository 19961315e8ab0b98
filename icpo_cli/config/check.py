"""Checks across settings that need neither model nor data: the first mistake, one line with its remedy."""

import math
from urllib.parse import urlsplit

from icpo_cli.config.schema import Config, JudgeConfig, NoiseConfig, RewardConfig, SourceConfig
from icpo_cli.errors import UserError

NEED_NO_GOLD = ("majority", "self_certainty")
"""Sources of rewards that ask the responses and the policy alone."""
JUDGE_CONNECTIONS = 1000
"""What one HTTP client keeps open."""


def check(config: Config, ranks: int = 1) -> None:
    """Raise UserError on settings that `ranks` processes cannot train with together."""
    check_evaluation(config)
    _check_group(config)
    _check_sampling(config)
    _check_source(config.reward)
    _check_golds(config)
    _check_old_logprobs(config)
    _check_mini_batch(config, ranks)
    _check_omega(config)
    if config.learner.zero_stage not in (None, 0, 1, 2, 3):
        raise UserError(f"learner.zero_stage: {config.learner.zero_stage} must be 0, 1, 2 or 3")
    check_source(config.data.train, "data.train")
    if config.data.heldout is not None:
        check_source(config.data.heldout, "data.heldout")


def check_evaluation(config: Config) -> None:
    """Raise UserError on settings that cannot be: all that an evaluation needs of them, training some more."""
    for key, count in _at_least_one(config).items():
        if count < 1:
            raise UserError(f"{key}: {count} must be 1 or more")
    for key, value in _positive(config).items():
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{key}: {value} must be positive and finite")
    for key, value in _not_negative(config).items():
        if not (value >= 0 and math.isfinite(value)):
            raise UserError(f"{key}: {value} must be 0 or more and finite")
    _check_noise(config.reward.noise)
    if not config.name.strip() or any(not char.isprintable() for char in config.name):
        raise UserError(f"name: {config.name!r} must be printable text")
    _check_eval(config)
    if config.data.template == "few_shot" and not config.data.examples:
        raise UserError("data.examples: the few_shot template needs one worked example or more")
    if urlsplit(config.track.uri or "").password is not None:
        raise UserError("track.uri: holds a password; use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
    if config.reward.judge.mode != "off":
        check_judge(config.reward.judge)


def _check_eval(config: Config) -> None:
    settings = config.eval
    if settings.temperature == 0 and settings.k is not None and settings.k > 1:
        raise UserError(f"eval.k: {settings.k} greedy responses would be equal; set eval.temperature above 0")
    if settings.engine.max_num_seqs < 2:
        raise UserError(f"eval.engine.max_num_seqs: {settings.engine.max_num_seqs} must be 2 or more")
    if settings.template == "few_shot" and not config.data.examples:
        raise UserError("data.examples: the few_shot template needs one worked example or more")


def check_source(source: SourceConfig, key: str) -> None:
    """What each kind of source must be given."""
    if source.source == "reasoning_gym" and not source.task:
        raise UserError(f"{key}.task: name a reasoning_gym task, or set {key}.source to file or hub")
    if source.source != "reasoning_gym" and not source.path:
        raise UserError(f"{key}.path: a source of kind {source.source} needs a path")


def check_judge(judge: JudgeConfig) -> None:
    """What a judge must be given, and how much may be asked of it."""
    _check_judge_url(judge)
    if not judge.key_variable.isidentifier():
        raise UserError(f"reward.judge.key_variable: {judge.key_variable!r} is no name of an environment variable")
    counts = {"requests_at_once": judge.requests_at_once, "max_tokens": judge.max_tokens}
    for key, count in counts.items():
        if count is not None and count < 1:
            raise UserError(f"reward.judge.{key}: {count} must be 1 or more")
    if judge.requests_at_once > JUDGE_CONNECTIONS:
        raise UserError(f"reward.judge.requests_at_once: {judge.requests_at_once} must be {JUDGE_CONNECTIONS} or less")
    if judge.retries < 0:
        raise UserError(f"reward.judge.retries: {judge.retries} must be 0 or more")
    for key in ("timeout_seconds", "give_up_seconds"):
        seconds = getattr(judge, key)
        if not (seconds > 0 and math.isfinite(seconds)):
            raise UserError(f"reward.judge.{key}: {seconds} must be positive and finite")


def _check_judge_url(judge: JudgeConfig) -> None:
    """The url is stored with the run and shown in messages: it must not hold a secret."""
    if not judge.url:
        raise UserError(
            f"reward.judge.url: a judge (mode {judge.mode}) needs its server, as in http://localhost:8000/v1"
        )
    try:
        parts = urlsplit(judge.url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if sound and (parts.username is not None or parts.password is not None or parts.query or parts.fragment):
        raise UserError(
            "reward.judge.url: holds credentials, a query or a fragment; give the address alone, and the key in the "
            f"environment variable {judge.key_variable}"
        )
    if not sound or not judge.url.isprintable() or " " in judge.url:
        raise UserError(f"reward.judge.url: {judge.url!r} must be an http:// or https:// address")


def _at_least_one(config: Config) -> dict[str, int]:
    return {
        "rollout.prompts_per_iteration": config.rollout.prompts_per_iteration,
        "rollout.group_size": config.rollout.group_size,
        "rollout.max_rounds": config.rollout.max_rounds,
        "rollout.votes": 1 if config.rollout.votes is None else config.rollout.votes,
        "rollout.max_prompt_tokens": config.rollout.max_prompt_tokens,
        "rollout.max_response_tokens": config.rollout.max_response_tokens,
        "rollout.engine.max_num_seqs": config.rollout.engine.max_num_seqs,
        "learner.mini_batch_prompts": config.learner.mini_batch_prompts,
        "learner.micro_batch_tokens": config.learner.micro_batch_tokens,
        "learner.logit_chunk_tokens": config.learner.logit_chunk_tokens,
        "train.iterations": config.train.iterations,
        "train.eval_every": config.train.eval_every,
        "train.save_every": config.train.save_every,
        "train.keep_checkpoints": config.train.keep_checkpoints,
        "train.collective_timeout_seconds": config.train.collective_timeout_seconds,
        "reward.sandbox.workers": 1 if config.reward.sandbox.workers is None else config.reward.sandbox.workers,
        "reward.sandbox.memory_mib": config.reward.sandbox.memory_mib,
        "eval.k": 1 if config.eval.k is None else config.eval.k,
        "eval.limit": 1 if config.eval.limit is None else config.eval.limit,
        "eval.max_response_tokens": config.eval.max_response_tokens,
        "eval.pass_at": min(config.eval.pass_at, default=1),
        "eval.engine.tensor_parallel": config.eval.engine.tensor_parallel,
        "eval.engine.data_parallel": config.eval.engine.data_parallel,
    }


def _positive(config: Config) -> dict[str, float]:
    return {
        "rollout.engine.kv_cache_gib": config.rollout.engine.kv_cache_gib,
        "eval.engine.kv_cache_gib": config.eval.engine.kv_cache_gib,
        "method.tau": config.method.tau,
        "method.delta": config.method.delta,
        "method.alpha": config.method.alpha,
        "reward.process.beta": config.reward.process.beta,
        "reward.process.learning_rate": config.reward.process.learning_rate,
        "learner.learning_rate": config.learner.learning_rate,
        "learner.clip_ratio": config.learner.clip_ratio,
        "learner.clip_ratio_high": config.learner.clip_ratio
        if config.learner.clip_ratio_high is None
        else config.learner.clip_ratio_high,
        "learner.max_grad_norm": config.learner.max_grad_norm,
        "rollout.max_probe_gap": config.rollout.max_probe_gap,
        "reward.sandbox.deadline_seconds": config.reward.sandbox.deadline_seconds,
        "rollout.engine.gpu_memory_utilization": config.rollout.engine.gpu_memory_utilization,
        "eval.engine.gpu_memory_utilization": config.eval.engine.gpu_memory_utilization,
    }


def _not_negative(config: Config) -> dict[str, float]:
    return {
        "seed": config.seed,
        "rollout.temperature": config.rollout.temperature,
        "reward.answer_weight": config.reward.answer_weight,
        "reward.format_weight": config.reward.format_weight,
        "rollout.spread_share": config.rollout.spread_share,
        "reward.overlong.penalty": config.reward.overlong.penalty,
        "reward.noise.magnitude": config.reward.noise.magnitude,
        "method.advantage.eps": config.method.advantage.eps,
        "method.omega.max": config.method.omega.max,
        "method.omega.min": config.method.omega.min,
        "learner.kl_coef": config.learner.kl_coef,
        "learner.weight_decay": config.learner.weight_decay,
        "eval.temperature": config.eval.temperature,
    }


def _check_group(config: Config) -> None:
    if config.rollout.group_size == 1:
        raise UserError("rollout.group_size: 1 has no group to compare with; every advantage would be 0: use 2 or more")
    if config.rollout.temperature == 0:
        raise UserError("rollout.temperature: 0 makes a group of equal responses; use a temperature above 0")
    if config.reward.answer_weight + config.reward.format_weight == 0:
        raise UserError("reward.answer_weight: 0 beside format_weight 0 leaves no reward")


def _check_sampling(config: Config) -> None:
    rollout, overlong = config.rollout, config.reward.overlong
    if rollout.votes is not None and rollout.votes < rollout.group_size:
        raise UserError(
            f"rollout.votes: {rollout.votes} responses hold no group of rollout.group_size {rollout.group_size}"
        )
    if rollout.votes is not None and config.reward.source != "majority":
        raise UserError(f"rollout.votes: reward.source={config.reward.source} takes no vote; majority does")
    if not 0 <= rollout.least_accuracy <= rollout.most_accuracy <= 1:
        raise UserError(
            f"rollout.least_accuracy: {rollout.least_accuracy} and rollout.most_accuracy {rollout.most_accuracy} must "
            f"be within 0 and 1, in this order"
        )
    if not 0 <= rollout.spread_decay < 1:
        raise UserError(f"rollout.spread_decay: {rollout.spread_decay} must be 0 or more and below 1")
    if rollout.max_rounds > 1 and rollout.keep == "all":
        raise UserError(f"rollout.max_rounds: {rollout.max_rounds} rounds, and rollout.keep=all leaves nothing out")
    if not 0 <= overlong.buffer_tokens <= rollout.max_response_tokens:
        raise UserError(
            f"reward.overlong.buffer_tokens: {overlong.buffer_tokens} must be within 0 and "
            f"rollout.max_response_tokens {rollout.max_response_tokens}"
        )


def _check_source(reward: RewardConfig) -> None:
    """Chances that fall on verdicts need verdicts."""
    if reward.source in ("verifier", "process"):
        return
    for key in ("false_positive", "false_negative"):
        if getattr(reward.noise, key) > 0:
            raise UserError(f"reward.noise.{key}: turns verdicts over, and reward.source={reward.source} has none")
    if reward.control != "none":
        raise UserError(f"reward.control: {reward.control} is about verdicts; reward.source={reward.source} has none")


def _check_golds(config: Config) -> None:
    """A reward that is read off gold answers has some."""
    source = config.reward.source
    if config.data.train.answer_column is None and source not in NEED_NO_GOLD:
        raise UserError(
            f"data.train.answer_column: null, and reward.source={source} needs gold answers; "
            f"{' and '.join(NEED_NO_GOLD)} need none"
        )
    if config.data.heldout is not None and config.data.heldout.answer_column is None:
        raise UserError("data.heldout.answer_column: null, and accuracy on held-out questions needs gold answers")


def _check_old_logprobs(config: Config) -> None:
    source, learner = config.reward.source, config.learner
    if learner.old_logprobs == "sampler" and source == "self_certainty":
        raise UserError("learner.old_logprobs: sampler, and reward.source=self_certainty needs the learner's pass")
    if learner.importance_cap is None:
        return
    if learner.importance_cap < 1:
        raise UserError(f"learner.importance_cap: {learner.importance_cap} must be 1 or more: tokens as likely weigh 1")
    if source == "likelihood":
        raise UserError("learner.importance_cap: reward.source=likelihood trains on texts that were not sampled")


def _check_mini_batch(config: Config, ranks: int) -> None:
    prompts, mini = config.rollout.prompts_per_iteration, config.learner.mini_batch_prompts
    if prompts % mini:
        raise UserError(
            f"learner.mini_batch_prompts: {mini} does not divide rollout.prompts_per_iteration {prompts}"
            f"{_divisors_near(prompts, mini)}"
        )
    if mini % ranks:
        raise UserError(f"learner.mini_batch_prompts: {mini} prompts cannot be shared evenly by {ranks} ranks")


def _divisors_near(total: int, wanted: int) -> str:
    divisors = [d for d in range(1, total + 1) if total % d == 0]
    return f"; nearest: {min(divisors, key=lambda d: abs(d - wanted))}"


def _check_noise(noise: NoiseConfig) -> None:
    for key in ("fraction", "false_positive", "false_negative"):
        if not 0 <= getattr(noise, key) <= 1:
            raise UserError(f"reward.noise.{key}: {getattr(noise, key)} must be within 0 and 1")


def _check_omega(config: Config) -> None:
    omega = config.method.omega
    if omega.min > omega.max:
        raise UserError(f"method.omega.min: {omega.min} is above method.omega.max {omega.max}")
    if not 0 <= omega.warmup_fraction <= 1:
        raise UserError(f"method.omega.warmup_fraction: {omega.warmup_fraction} must be within 0 and 1")
