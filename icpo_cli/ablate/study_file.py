"""Study files: YAML that defines the arms of a study as settings over one base configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.load import Layer, deep_merge, experiment_file, file_layers, nearest, read_yaml
from icpo_cli.errors import UserError

SUFFIXES = (".yaml", ".yml")
FILES = "files"
"""The key of an arm that is not a setting."""


@dataclass(frozen=True)
class StudyFile:
    """A study file merged with those it includes; keys of settings are as the user wrote them."""

    source: str
    """Name or path that the user gave, for error messages."""
    name: str
    about: str
    base: str
    files: tuple[Path, ...]
    settings: dict[str, Any]
    arms: dict[str, dict[str, Any]]
    """Settings by arm, with the arm's own `files` as paths."""
    against: dict[str, str]
    sweep: dict[str, list[Any]]
    """`dials:` dotted key to values."""
    grid: bool
    sweep_arms: tuple[str, ...] | None
    """The arms that are swept; None: all in which the key has an effect."""
    controls: tuple[str, ...]
    control_arms: tuple[str, ...] | None
    probe: dict[str, Any] | None


def read_study_file(study: str) -> StudyFile:
    """Read a shipped study by its name, or a file. Raises UserError."""
    path = _find(study)
    values: dict[str, Any] = {}
    for layer in file_layers(path):
        own = _checked(layer)
        if FILES in own:
            own[FILES] = [*values.get(FILES, []), *own[FILES]]
        values = deep_merge(values, own)
    arms = values.get("arms", {})
    if not arms:
        raise UserError(f"{study}: arms: a study needs one or more")
    read = StudyFile(
        source=study,
        name=values.get("name", path.stem),
        about=values.get("about", ""),
        base=values.get("base", next(iter(arms))),
        files=tuple(values.get(FILES, [])),
        settings=values.get("settings", {}),
        arms=arms,
        against=values.get("against", {}),
        sweep=values.get("dials", {}),
        grid=values.get("grid", False),
        sweep_arms=_optional(values.get("dial_arms")),
        controls=tuple(values.get("controls", [])),
        control_arms=_optional(values.get("control_arms")),
        probe=values.get("probe"),
    )
    _check_names(read)
    return read


def is_study_file(path: Path) -> bool:
    """Whether the file has keys that only a study has. Raises UserError if it is not YAML with keys."""
    return not STUDY_ONLY.isdisjoint(read_yaml(path))


def study_names() -> list[str]:
    """Names of the shipped studies."""
    return sorted(path.stem for path in experiment_file("ablations/schedule.yaml").parent.glob("*.yaml"))


def _find(study: str) -> Path:
    if study.endswith(SUFFIXES) or Path(study).is_file():
        return Path(study)
    if study not in study_names():
        raise UserError(f"unknown study '{study}'{nearest(study, study_names())}")
    return experiment_file(f"ablations/{study}.yaml")


def _checked(layer: Layer) -> dict[str, Any]:
    """The values of one file, with `files` as paths from its folder. Raises UserError on a key or value of no study."""
    own = dict(layer.values)
    for key, value in own.items():
        if key not in KEYS:
            raise UserError(f"{layer.origin}: unknown key '{key}' of a study{nearest(str(key), list(KEYS))}")
        fits, form = KEYS[key]
        if not fits(value):
            raise UserError(f"{layer.origin}: {key}: must be {form}")
    folder = Path(layer.origin).parent
    if FILES in own:
        own[FILES] = [folder / name for name in own[FILES]]
    if "arms" in own:
        arms = {name: dict(settings or {}) for name, settings in own["arms"].items()}
        own["arms"] = {
            name: {**arm, FILES: [folder / file for file in arm[FILES]]} if FILES in arm else arm
            for name, arm in arms.items()
        }
    return own


def _check_names(study: StudyFile) -> None:
    """Raise UserError on a reference to an arm that does not exist."""
    named = {
        "base": [study.base],
        "against": [*study.against, *study.against.values()],
        "dial_arms": study.sweep_arms or (),
        "control_arms": study.control_arms or (),
    }
    for key, names in named.items():
        for name in names:
            if name not in study.arms:
                raise UserError(f"{study.source}: {key}: no arm '{name}'{nearest(name, list(study.arms))}")
    if study.base in study.against:
        raise UserError(f"{study.source}: against: '{study.base}' is the base arm: other arms are compared with it")
    for name, other in study.against.items():
        if name == other:
            raise UserError(f"{study.source}: against: '{name}' cannot be compared with itself")


def _optional(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_section(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(key) for key in value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(item) for item in value)


def _are_arms(value: Any) -> bool:
    return _is_section(value) and all(
        arm is None or (_is_section(arm) and _are_texts(arm.get(FILES, []))) for arm in value.values()
    )


def _are_pairs(value: Any) -> bool:
    return _is_section(value) and all(_is_text(other) for other in value.values())


def _are_dials(value: Any) -> bool:
    return _is_section(value) and all(isinstance(values, list) for values in value.values())


KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "a text"),
    "about": (_is_text, "a text of one line"),
    "base": (_is_text, "the name of an arm"),
    "files": (_are_texts, "a list of configuration files"),
    "settings": (_is_section, "a section of settings"),
    "arms": (_are_arms, "a section of arms, each a section of settings; an arm's files a list"),
    "against": (_are_pairs, "a section of pairs of arms"),
    "dials": (_are_dials, "a section of keys, each with a list of values"),
    "grid": (lambda value: isinstance(value, bool), "true or false"),
    "dial_arms": (_are_texts, "a list of arms"),
    "controls": (_are_texts, "a list of controls"),
    "control_arms": (_are_texts, "a list of arms"),
    "probe": (_is_section, "a section of settings and `epochs`"),
}
"""Keys of a study file: a check of the value, and its text for error messages."""

STUDY_ONLY = set(KEYS) - {"name"}
"""Keys that no configuration file has."""
