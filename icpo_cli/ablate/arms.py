"""A study's arms, resolved: those that its file names, and those that dials and controls make of them."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icpo_cli.ablate.study import Arm
from icpo_cli.ablate.study_file import FILES, StudyFile
from icpo_cli.config.inactive_keys import inactive_keys
from icpo_cli.config.load import Layer, file_layers, flatten, nearest, resolve, to_tree
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

CONTROLS = {
    "random_reward": {"reward.control": "random"},
    "shuffled_golds": {"reward.control": "shuffled_golds"},
}
"""Arms whose reward teaches nothing true: what a gain has to be seen beside."""
OF_THE_STUDY = {
    "seed": "a study's seeds are given by --seeds",
    "name": "a study's runs are named by study, arm and seed",
    "track.parent": "a study's runs stand under the study's own run",
}
"""Settings that a study makes itself."""


@dataclass(frozen=True)
class Variation:
    """What makes another arm of an arm: a value of a dial, several at once in a grid, or a control."""

    origin: str
    """What asked for it, for messages."""
    settings: dict[str, Any]
    control: str | None = None

    @property
    def label(self) -> str:
        """How the arm's name goes on: delta=0.3."""
        if self.control is not None:
            return self.control
        return " ".join(f"{_short_key(key)}={_text(value)}" for key, value in self.settings.items())


@dataclass(frozen=True)
class Draft:
    """An arm with the layers that it was resolved from, so that more can be laid over them."""

    arm: Arm
    layers: tuple[Layer, ...]


def named_arms(study: StudyFile, beneath: Sequence[Layer], seed: Layer) -> list[Draft]:
    """The arms that the file names, the base first. Raises UserError; on equal ones too."""
    names = [study.base, *(name for name in study.arms if name != study.base)]
    drafts = [_named(study, name, beneath, seed) for name in names]
    for one, other in itertools.combinations(drafts, 2):
        if effective(one.arm.config) == effective(other.arm.config):
            raise UserError(
                f"{study.source}: arms '{one.arm.name}' and '{other.arm.name}' are equal: "
                "they differ in no setting that has an effect"
            )
    return drafts


def dial_variations(dials: Mapping[str, Sequence[Any]], grid: bool, origin: str) -> list[Variation]:
    """Dials one at a time, or every combination of their values. Raises UserError."""
    dials = {_full_key(key): values for key, values in dials.items()}
    for key, values in dials.items():
        if not values:
            raise UserError(f"{origin}: {key}: no values")
        _check_of_the_study(key, origin)
    if grid:
        combined = itertools.product(*dials.values())
        return [Variation(origin, dict(zip(dials, values, strict=True))) for values in combined]
    return [Variation(origin, {key: value}) for key, values in dials.items() for value in values]


def control_variations(names: Iterable[str], origin: str) -> list[Variation]:
    """Raises UserError on an unknown control."""
    for name in names:
        if name not in CONTROLS:
            raise UserError(f"{origin}: unknown control '{name}'{nearest(name, list(CONTROLS))}")
    return [Variation(origin, dict(CONTROLS[name]), name) for name in dict.fromkeys(names)]


def with_variations(drafts: Sequence[Draft], of: Sequence[str] | None, variations: Sequence[Variation]) -> list[Draft]:
    """`drafts`, and one more for each variation of those named in `of` (None: of all) that makes a new one.

    A varied arm is compared with the same variation of what its parent is compared with, where that is there.
    Raises UserError on a setting that none of them takes.
    """
    parents = [draft for draft in drafts if of is None or draft.arm.name in of]
    known = {effective(draft.arm.config): draft.arm.name for draft in drafts}
    is_arm: dict[tuple[str, int], str] = {}
    made: list[tuple[Draft, Arm, int]] = []
    taken: set[str] = set()
    for parent, (place, variation) in itertools.product(parents, enumerate(variations)):
        draft, live = _varied(parent, variation)
        taken |= live
        if not live:
            continue
        does = effective(draft.arm.config)
        if does not in known:
            known[does] = draft.arm.name
            made.append((draft, parent.arm, place))
        is_arm[parent.arm.name, place] = known[does]
    _check_taken(parents, variations, taken)
    varied = []
    for draft, parent_arm, place in made:
        other = parent_arm.against or parent_arm.name
        against = is_arm.get((other, place), other)
        varied.append(replace(draft, arm=replace(draft.arm, against=other if against == draft.arm.name else against)))
    return [*drafts, *varied]


def effective(config: Config) -> str:
    """All that decides what a run of the configuration does, names and seed apart."""
    idle = inactive_keys(config)
    values = flatten(to_tree(config))
    names = ("name", "method.name", "seed")
    return json.dumps({key: value for key, value in values.items() if key not in names and key not in idle})


def dotted(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Sections written as sections or as dotted keys, all as dotted keys; `method: x` as method.name."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat |= dotted(value, f"{key}.")
        else:
            flat[_full_key(key) if isinstance(value, str) else key] = value
    return flat


def setting_layers(settings: Mapping[str, Any], origin: str) -> list[Layer]:
    """One a dotted key. Raises UserError on one that the study makes itself."""
    for key in settings:
        _check_of_the_study(key, origin)
    return [Layer(origin, _nested(key, value)) for key, value in settings.items()]


def check_inactive_keys(config: Config, settings: Mapping[str, Any], origin: str) -> None:
    """Raise UserError on a setting that has no effect there, such as delta for a method without the bonus."""
    idle = inactive_keys(config)
    for key in settings:
        if key in idle:
            raise UserError(f"{origin}: {key}: has no effect: {idle[key]}")


def _named(study: StudyFile, name: str, beneath: Sequence[Layer], seed: Layer) -> Draft:
    origin = f"{study.source}: arm {name}"
    laid = {Path(layer.origin).resolve() for layer in beneath}
    settings = dotted({key: value for key, value in study.arms[name].items() if key != FILES})
    # A file that is laid beneath all arms already is not laid again, over what the user asks for.
    files = [layer for file in study.arms[name].get(FILES, []) for layer in file_layers(file)]
    files = [layer for layer in files if Path(layer.origin).resolve() not in laid]
    layers = (*beneath, *files, *setting_layers(settings, origin), seed)
    config = resolve(layers)
    check_inactive_keys(config, settings, origin)
    said = {key: value for layer in files for key, value in dotted(layer.values).items() if key not in OF_THE_STUDY}
    against = None if name == study.base else study.against.get(name, study.base)
    return Draft(Arm(name, {**said, **settings}, config, against), layers)


def _varied(parent: Draft, variation: Variation) -> tuple[Draft, set[str]]:
    """The arm, and the keys that have an effect in it: none is as good as no variation."""
    layers = (*parent.layers, *setting_layers(variation.settings, variation.origin))
    config = resolve(layers)
    idle = inactive_keys(config)
    live = {key: value for key, value in variation.settings.items() if key not in idle}
    if live and len(live) < len(variation.settings):
        return _varied(parent, replace(variation, settings=live))
    arm = replace(
        parent.arm,
        name=f"{parent.arm.name} {variation.label}",
        overrides={**parent.arm.overrides, **variation.settings},
        config=config,
    )
    return Draft(arm, layers), set(live)


def _check_taken(parents: Sequence[Draft], variations: Sequence[Variation], taken: set[str]) -> None:
    for variation in variations:
        for key in variation.settings:
            if key not in taken:
                config = resolve([*parents[0].layers, *setting_layers(variation.settings, variation.origin)])
                raise UserError(f"{variation.origin}: {key}: has no effect in any arm: {inactive_keys(config)[key]}")


def _check_of_the_study(key: str, origin: str) -> None:
    if key in OF_THE_STUDY:
        raise UserError(f"{origin}: {key}: {OF_THE_STUDY[key]}")


def _full_key(key: str) -> str:
    return "method.name" if key == "method" else key


def _short_key(key: str) -> str:
    """Without its section: delta, omega.max."""
    return "method" if key == "method.name" else key.partition(".")[2] or key


def _nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _text(value: Any) -> str:
    """A value as short as it can be told from others."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
