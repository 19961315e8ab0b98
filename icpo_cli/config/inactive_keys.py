"""Config keys that have no effect because of another key, such as a bonus's keys without the bonus."""

from dataclasses import fields

from icpo_cli.config.schema import Config, JudgeConfig, MethodConfig, OmegaScheduleConfig

BONUS_KEYS = ("confidence", "delta", "alpha", "tau", *(f"omega.{each.name}" for each in fields(OmegaScheduleConfig)))
"""Keys under method that only a bonus uses."""
UNUSED_BY_BONUS = {"preference": "alpha", "perplexity": "delta"}
"""The bonus key under method that each bonus does not use."""


def inactive_keys(config: Config) -> dict[str, str]:
    """Return the dotted keys that cannot change a run of this configuration, each with the reason."""
    inactive = {**_method(config.method), **_reward(config)}
    if config.rollout.keep != "accuracy":
        inactive |= {f"rollout.{key}": "rollout.keep is not accuracy" for key in ("least_accuracy", "most_accuracy")}
    if config.reward.source != "process":
        inactive |= {f"reward.process.{key}": "reward.source is not process" for key in ("beta", "learning_rate")}
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
