"""The arms of a study with their configurations: the ones its file names, and their variations (sweeps, controls)."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.study import FILES, Arm, StudyFile
from icpo_cli.config.check import inactive_keys
from icpo_cli.config.load import Layer, file_layers, flatten, nearest, resolve, to_tree
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

CONTROLS = {
    "random_reward": {"reward.control": "random"},
    "shuffled_golds": {"reward.control": "shuffled_golds"},
}
"""Control arms: their reward carries no information about the true answers, so a real gain has to exceed theirs."""
STUDY_KEYS = {
    "seed": "a study's seeds are set by --seeds",
    "name": "a study's runs are named by study, arm and seed",
    "track.parent": "the parent of a study's runs is the run of the study",
}
"""Keys that the study itself sets, and why a user cannot."""


@dataclass(frozen=True)
class Variation:
    """Settings that turn an arm into another arm: one value of a sweep, a combination of a grid, or a control."""

    origin: str
    """The option or file that requests it, for error messages."""
    settings: dict[str, Any]
    control: str | None = None

    @property
    def label(self) -> str:
        """Suffix of the arm's name: delta=0.3."""
        if self.control is not None:
            return self.control
        return " ".join(f"{_short_key(key)}={_text(value)}" for key, value in self.settings.items())


def named_arms(study: StudyFile, base_layers: Sequence[Layer], seed: Layer) -> list[Arm]:
    """The arms that the file names, the base arm first. Raises UserError, also if two arms are equal."""
    names = [study.base, *(name for name in study.arms if name != study.base)]
    arms = [_named(study, name, base_layers, seed) for name in names]
    for one, other in itertools.combinations(arms, 2):
        if effective(one.config) == effective(other.config):
            raise UserError(
                f"{study.source}: arms '{one.name}' and '{other.name}' are equal: "
                "they differ in no setting that has an effect"
            )
    return arms


def sweep_variations(sweep: Mapping[str, Sequence[Any]], grid: bool, origin: str) -> list[Variation]:
    """One variation per value, or with `grid` per combination of values. Raises UserError."""
    sweep = {_full_key(key): values for key, values in sweep.items()}
    for key, values in sweep.items():
        if not values:
            raise UserError(f"{origin}: {key}: no values")
        _check_not_study_key(key, origin)
    if grid:
        combinations = itertools.product(*sweep.values())
        return [Variation(origin, dict(zip(sweep, values, strict=True))) for values in combinations]
    return [Variation(origin, {key: value}) for key, values in sweep.items() for value in values]


def control_variations(names: Iterable[str], origin: str) -> list[Variation]:
    """Raises UserError on an unknown control."""
    for name in names:
        if name not in CONTROLS:
            raise UserError(f"{origin}: unknown control '{name}'{nearest(name, list(CONTROLS))}")
    return [Variation(origin, dict(CONTROLS[name]), name) for name in dict.fromkeys(names)]


def with_variations(arms: Sequence[Arm], parents: Sequence[str] | None, variations: Sequence[Variation]) -> list[Arm]:
    """`arms`, then one more arm for each parent and variation whose configuration is new.

    `parents`: names of the arms to vary; None varies all. A varied arm is compared with the same variation of the arm
    that its parent is compared with, where that exists. Raises UserError on a setting without effect in every parent.
    """
    varied_arms = [arm for arm in arms if parents is None or arm.name in parents]
    known = {effective(arm.config): arm.name for arm in arms}
    name_of: dict[tuple[str, int], str] = {}
    """(parent, index of the variation) to the arm that has this configuration."""
    new: list[tuple[Arm, Arm, int]] = []
    used: set[str] = set()
    for parent, (index, variation) in itertools.product(varied_arms, enumerate(variations)):
        arm, active = _varied(parent, variation)
        used |= active
        if not active:
            continue
        behavior = effective(arm.config)
        if behavior not in known:
            known[behavior] = arm.name
            new.append((arm, parent, index))
        name_of[parent.name, index] = known[behavior]
    _check_used(varied_arms, variations, used)
    added = []
    for arm, parent, index in new:
        other = parent.against or parent.name
        against = name_of.get((other, index), other)
        added.append(replace(arm, against=other if against == arm.name else against))
    return [*arms, *added]


def effective(config: Config) -> str:
    """The settings that influence what a run does, as text: without names, seed and inactive keys."""
    inactive = inactive_keys(config)
    values = flatten(to_tree(config))
    names = ("name", "method.name", "seed")
    return json.dumps({key: value for key, value in values.items() if key not in names and key not in inactive})


def dotted(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections and dotted keys as dotted keys alone; `method: x` as method.name."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat |= dotted(value, f"{key}.")
        else:
            flat[_full_key(key) if isinstance(value, str) else key] = value
    return flat


def setting_layers(settings: Mapping[str, Any], origin: str) -> list[Layer]:
    """One layer per dotted key. Raises UserError on a key that the study itself sets."""
    for key in settings:
        _check_not_study_key(key, origin)
    return [Layer(origin, _nested(key, value)) for key, value in settings.items()]


def check_active(config: Config, settings: Mapping[str, Any], origin: str) -> None:
    """Raise UserError on a setting without effect in `config`, such as delta for a method without the bonus."""
    inactive = inactive_keys(config)
    for key in settings:
        if key in inactive:
            raise UserError(f"{origin}: {key}: has no effect: {inactive[key]}")


def _named(study: StudyFile, name: str, base_layers: Sequence[Layer], seed: Layer) -> Arm:
    origin = f"{study.source}: arm {name}"
    loaded = {Path(layer.origin).resolve() for layer in base_layers}
    settings = dotted({key: value for key, value in study.arms[name].items() if key != FILES})
    # A file that is a base layer of all arms must not be applied again over the settings of the user.
    files = [layer for file in study.arms[name].get(FILES, []) for layer in file_layers(Path(file))]
    files = [layer for layer in files if Path(layer.origin).resolve() not in loaded]
    layers = (*base_layers, *files, *setting_layers(settings, origin), seed)
    config = resolve(layers)
    check_active(config, settings, origin)
    from_files = {key: value for layer in files for key, value in dotted(layer.values).items() if key not in STUDY_KEYS}
    against = None if name == study.base else study.against.get(name, study.base)
    return Arm(name, {**from_files, **settings}, config, against, layers)


def _varied(parent: Arm, variation: Variation) -> tuple[Arm, set[str]]:
    """The varied arm, and the keys of the variation that have an effect in it; none: the variation changes nothing."""
    layers = (*parent.layers, *setting_layers(variation.settings, variation.origin))
    config = resolve(layers)
    inactive = inactive_keys(config)
    active = {key: value for key, value in variation.settings.items() if key not in inactive}
    if active and len(active) < len(variation.settings):
        return _varied(parent, replace(variation, settings=active))
    arm = replace(
        parent,
        name=f"{parent.name} {variation.label}",
        overrides={**parent.overrides, **variation.settings},
        config=config,
        layers=layers,
    )
    return arm, set(active)


def _check_used(parents: Sequence[Arm], variations: Sequence[Variation], used: set[str]) -> None:
    for variation in variations:
        for key in variation.settings:
            if key not in used:
                config = resolve([*parents[0].layers, *setting_layers(variation.settings, variation.origin)])
                raise UserError(f"{variation.origin}: {key}: has no effect in any arm: {inactive_keys(config)[key]}")


def _check_not_study_key(key: str, origin: str) -> None:
    if key in STUDY_KEYS:
        raise UserError(f"{origin}: {key}: {STUDY_KEYS[key]}")


def _full_key(key: str) -> str:
    return "method.name" if key == "method" else key


def _short_key(key: str) -> str:
    """The key without its section: delta, omega.max."""
    return "method" if key == "method.name" else key.partition(".")[2] or key


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _text(value: Any) -> str:
    """The shortest text that still identifies the value."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
