"""Settings that change nothing beside others: a bonus's without the bonus, a warm-up's without a warm-up."""

from dataclasses import fields

from icpo_cli.config.schema import Config, JudgeConfig, MethodConfig

BONUS = ("confidence", "delta", "alpha", "tau", "omega.schedule", "omega.max", "omega.min", "omega.warmup_fraction")
"""What a bonus is made of, under method."""
OF_ANOTHER_BONUS = {"preference": "alpha", "perplexity": "delta"}
"""By bonus, what only the other one is made of."""


def idle_keys(config: Config) -> dict[str, str]:
    """Dotted keys that no run of this configuration is changed by, each with the reason."""
    idle = {**_method(config.method), **_reward(config)}
    if config.rollout.keep != "accuracy":
        idle |= {f"rollout.{key}": "rollout.keep is not accuracy" for key in ("least_accuracy", "most_accuracy")}
    if config.reward.source != "process":
        idle |= {f"reward.process.{key}": "reward.source is not process" for key in ("beta", "learning_rate")}
    if config.rollout.keep != "spread":
        idle |= {f"rollout.{key}": "rollout.keep is not spread" for key in ("spread_share", "spread_decay")}
    return idle


def _method(method: MethodConfig) -> dict[str, str]:
    idle = {}
    if method.bonus == "none":
        idle = {f"method.{key}": f"method {method.name} has no bonus" for key in BONUS}
    else:
        idle[f"method.{OF_ANOTHER_BONUS[method.bonus]}"] = f"the {method.bonus} bonus is not made of it"
    if method.bonus != "none" and method.omega.schedule in ("constant", "linear_decay"):
        idle["method.omega.warmup_fraction"] = f"the schedule {method.omega.schedule} has no warm-up"
        if method.omega.schedule == "constant":
            idle["method.omega.min"] = "the schedule constant stays at its maximum"
    if method.advantage.baseline == "leave_one_out":
        idle |= {f"method.advantage.{key}": "RLOO's advantage is not divided by a std" for key in ("std", "eps")}
    elif method.advantage.std == "none":
        idle["method.advantage.eps"] = "the advantage is not divided by a std"
    return idle


def _reward(config: Config) -> dict[str, str]:
    noise, judge = config.reward.noise, config.reward.judge
    idle = {}
    if noise.fraction == 0:
        idle["reward.noise.magnitude"] = "reward.noise.fraction is 0"
    elif noise.magnitude == 0:
        idle["reward.noise.fraction"] = "reward.noise.magnitude is 0"
    if config.reward.overlong.buffer_tokens == 0:
        idle["reward.overlong.penalty"] = "reward.overlong.buffer_tokens is 0"
    if judge.mode == "off":
        names = [field.name for field in fields(JudgeConfig) if field.name != "mode"]
        idle |= {f"reward.judge.{name}": "reward.judge.mode is off" for name in names}
    return idle
