"""Study files: YAML that names a study's arms as settings over one base configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icpo_cli.config.load import deep_merge, experiment_file, nearest, read_yaml
from icpo_cli.errors import UserError

SUFFIXES = (".yaml", ".yml")
FILES = "files"
"""Of an arm's keys, the one that is no setting."""


@dataclass(frozen=True)
class StudyFile:
    """What a study file says, with what it includes; keys of settings are as they were written."""

    source: str
    """What the user named it by, for messages."""
    name: str
    about: str
    base: str
    files: tuple[Path, ...]
    settings: dict[str, Any]
    arms: dict[str, dict[str, Any]]
    """Settings by arm; an arm's own `files` are among them, as paths."""
    against: dict[str, str]
    dials: dict[str, list[Any]]
    grid: bool
    dial_arms: tuple[str, ...] | None
    """The arms that are dialled; None is every arm that has the dial."""
    controls: tuple[str, ...]
    control_arms: tuple[str, ...] | None
    probe: dict[str, Any] | None


def read_study_file(study: str) -> StudyFile:
    """A shipped study by its name, or a file. Raises UserError."""
    path = _find(study)
    values = _read(path, ())
    arms = values.get("arms", {})
    if not arms:
        raise UserError(f"{study}: arms: a study needs one or more")
    read = StudyFile(
        source=study,
        name=values.get("name", path.stem),
        about=values.get("about", ""),
        base=values.get("base", next(iter(arms))),
        files=tuple(values.get("files", [])),
        settings=values.get("settings", {}),
        arms=arms,
        against=values.get("against", {}),
        dials=values.get("dials", {}),
        grid=values.get("grid", False),
        dial_arms=_optional(values.get("dial_arms")),
        controls=tuple(values.get("controls", [])),
        control_arms=_optional(values.get("control_arms")),
        probe=values.get("probe"),
    )
    _check_names(read)
    return read


def is_study_file(path: Path) -> bool:
    """Whether its keys are a study's, not a configuration's. Raises UserError where it is no YAML of keys."""
    return not STUDYS_OWN.isdisjoint(read_yaml(path))


def study_names() -> list[str]:
    """The shipped studies."""
    return sorted(path.stem for path in experiment_file("ablations/schedule.yaml").parent.glob("*.yaml"))


def _find(study: str) -> Path:
    if study.endswith(SUFFIXES) or Path(study).is_file():
        return Path(study)
    if study not in study_names():
        raise UserError(f"unknown study '{study}'{nearest(study, study_names())}")
    return experiment_file(f"ablations/{study}.yaml")


def _read(path: Path, parents: tuple[Path, ...]) -> dict[str, Any]:
    """A file's values over those of the one it includes. Sections are merged, `files` follow, the rest is replaced."""
    if path.resolve() in parents:
        raise UserError(f"{path}: includes itself")
    values = read_yaml(path)
    for key, value in values.items():
        if key not in KEYS:
            raise UserError(f"{path}: unknown key '{key}' of a study{nearest(str(key), list(KEYS))}")
        fits, form = KEYS[key]
        if not fits(value):
            raise UserError(f"{path}: {key}: must be {form}")
    own = _with_paths(values, path.parent)
    if "include" not in own:
        return own
    beneath = _read(path.parent / own.pop("include"), (*parents, path.resolve()))
    if FILES in own and FILES in beneath:
        own[FILES] = [*beneath[FILES], *own[FILES]]
    return deep_merge(beneath, own)


def _with_paths(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """With `files`, the study's and the arms', as paths from where the study file stands; arms without settings too."""
    own = dict(values)
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
    """Arms that are referred to are there."""
    named = {
        "base": [study.base],
        "against": [*study.against, *study.against.values()],
        "dial_arms": study.dial_arms or (),
        "control_arms": study.control_arms or (),
    }
    for key, names in named.items():
        for name in names:
            if name not in study.arms:
                raise UserError(f"{study.source}: {key}: no arm '{name}'{nearest(name, list(study.arms))}")
    if study.base in study.against:
        raise UserError(f"{study.source}: against: '{study.base}' is the base, which the others are compared with")
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
    "include": (_is_text, "the name of another study file"),
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
"""Of a study file: what each key's value must be, as a check and in words."""

STUDYS_OWN = set(KEYS) - {"name", "include"}
"""Keys that no configuration has."""
