"""Study files: YAML that defines the arms of a study as settings over one base configuration."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.load import Layer, experiment_file, file_layers, load_layers, nearest, read_yaml
from icpo_cli.config.setting import setting
from icpo_cli.errors import UserError

SUFFIXES = (".yaml", ".yml")
FILES = "files"
"""The key of an arm that is not a setting."""


@dataclass(frozen=True)
class StudyFile:
    """The keys of a study file, merged with those of the files it includes; keys of settings as the user wrote them."""

    source: str = field(default="", metadata={"omegaconf_ignore": True})
    """Name or path that the user gave, for error messages; not a key."""
    name: str = setting("", "Name of the study; by default the file's stem.")
    about: str = setting("", "Description, one line.")
    base: str = setting("", "The arm that others are compared with; by default the first.")
    files: list[str] = setting([], "Configuration files of all arms.")
    settings: dict[str, Any] = setting({}, "Settings of all arms.")
    arms: dict[str, dict[str, Any]] = setting({}, "Settings by arm; `files` are the arm's own files.")
    against: dict[str, str] = setting({}, "{arm: the arm it is compared with instead of the base}.")
    dials: dict[str, list[Any]] = setting({}, "{dotted key: values to sweep}.")
    grid: bool = setting(False, "Sweep all combinations of the dials.")
    dial_arms: list[str] | None = setting(None, "The arms that are swept; null: all in which the key has an effect.")
    controls: list[str] = setting([], "Values of reward.control that get arms of their own.")
    control_arms: list[str] | None = setting(None, "The arms that get controls; null: all.")
    probe: dict[str, Any] | None = setting(None, "Settings of the probe run, and `epochs`.")


STUDY_ONLY = {each.name for each in fields(StudyFile)} - {"name", "source"}
"""Keys that no configuration file has."""


def read_study_file(study: str) -> StudyFile:
    """Read a shipped study by its name, or a file. Raises UserError."""
    path = _find(study)
    files: list[str] = []
    layers = []
    for layer in map(_with_paths, file_layers(path)):
        files = [*files, *layer.values.get(FILES, [])]
        layers.append(Layer(layer.origin, {**layer.values, FILES: files}))
    read = load_layers(StudyFile, layers)
    if not read.arms:
        raise UserError(f"{study}: arms: a study needs one or more")
    read = replace(read, source=study, name=read.name or path.stem, base=read.base or next(iter(read.arms)))
    _check_texts(read)
    _check_references(read)
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


def _with_paths(layer: Layer) -> Layer:
    """The layer with `files`, of the study and of its arms, as paths from the working directory."""
    folder, origin = Path(layer.origin).parent, layer.origin

    def resolved(values: Any, prefix: str) -> Any:
        if not isinstance(values, dict) or FILES not in values:
            return values
        if not isinstance(values[FILES], list):
            raise UserError(f"{origin}: {prefix}{FILES}: {values[FILES]!r} is not a list")
        return {**values, FILES: [str(folder / str(name)) for name in values[FILES]]}

    values = resolved(layer.values, "")
    if isinstance(values.get("arms"), dict):
        values = {
            **values,
            "arms": {name: resolved(arm or {}, f"arms.{name}.") for name, arm in values["arms"].items()},
        }
    return Layer(origin, values)


def _check_texts(study: StudyFile) -> None:
    """Raise UserError on a name that cannot be printed on one line."""
    for key, texts in (("name", [study.name]), ("about", [study.about]), ("arms", study.arms)):
        for text in texts:
            if not text.isprintable():
                raise UserError(f"{study.source}: {key}: {text!r} must be printable text of one line")


def _check_references(study: StudyFile) -> None:
    """Raise UserError on a reference to an arm that does not exist."""
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
        raise UserError(f"{study.source}: against: '{study.base}' is the base arm: other arms are compared with it")
    for name, other in study.against.items():
        if name == other:
            raise UserError(f"{study.source}: against: '{name}' cannot be compared with itself")
