"""Checks across config keys of an evaluation, a judge and a data source, and the keys that have no effect.

Bounds of single keys are in the schema, the checks of a training run in train/check.py.
"""

from dataclasses import fields
from urllib.parse import urlsplit

from icpo_cli.config.schema import Config, JudgeConfig, MethodConfig, OmegaScheduleConfig, ProcessConfig, SourceConfig
from icpo_cli.config.setting import check_bounds
from icpo_cli.errors import UserError

BONUS_KEYS = ("confidence", "delta", "alpha", "tau", *(f"omega.{each.name}" for each in fields(OmegaScheduleConfig)))
"""Keys under method that only a bonus uses."""
UNUSED_BY_BONUS = {"preference": "alpha", "perplexity": "delta"}
"""The bonus key under method that each bonus does not use."""


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


def inactive_keys(config: Config) -> dict[str, str]:
    """Return the dotted keys that cannot change a run of this configuration, each with the reason."""
    inactive = {**_method(config.method), **_reward(config)}
    if config.rollout.keep != "accuracy":
        inactive |= {f"rollout.{key}": "rollout.keep is not accuracy" for key in ("least_accuracy", "most_accuracy")}
    if config.reward.source != "process":
        keys = [field.name for field in fields(ProcessConfig)]
        inactive |= {f"reward.process.{key}": "reward.source is not process" for key in keys}
    if config.rollout.keep != "spread":
        inactive |= {f"rollout.{key}": "rollout.keep is not spread" for key in ("min_std_ratio", "std_ema_decay")}
    return inactive


def _method(method: MethodConfig) -> dict[str, str]:
    inactive = {}
    if method.bonus == "none":
        inactive = {f"method.{key}": f"method {method.name} has no bonus" for key in BONUS_KEYS}
    else:
        inactive[f"method.{UNUSED_BY_BONUS[method.bonus]}"] = f"the {method.bonus} bonus does not use it"
    if method.bonus != "none" and method.omega.schedule in ("constant", "linear_decay"):
        inactive["method.omega.warmup_fraction"] = f"the schedule {method.omega.schedule} has no warm-up"
        if method.omega.schedule == "constant":
            inactive["method.omega.min"] = "the schedule constant stays at its maximum"
    if method.advantage.baseline == "leave_one_out":
        inactive |= {f"method.advantage.{key}": "RLOO's advantage is not divided by a std" for key in ("std", "eps")}
    elif method.advantage.std == "none":
        inactive["method.advantage.eps"] = "the advantage is not divided by a std"
    return inactive


def _reward(config: Config) -> dict[str, str]:
    noise, judge = config.reward.noise, config.reward.judge
    inactive = {}
    if noise.fraction == 0:
        inactive["reward.noise.magnitude"] = "reward.noise.fraction is 0"
    elif noise.magnitude == 0:
        inactive["reward.noise.fraction"] = "reward.noise.magnitude is 0"
    if config.reward.overlong.buffer_tokens == 0:
        inactive["reward.overlong.penalty"] = "reward.overlong.buffer_tokens is 0"
    if judge.mode == "off":
        names = [field.name for field in fields(JudgeConfig) if field.name != "mode"]
        inactive |= {f"reward.judge.{name}": "reward.judge.mode is off" for name in names}
    return inactive
