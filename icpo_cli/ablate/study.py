"""A study as its file defines it, and with resolved configurations: its arms and jobs.

A study file is YAML that defines the arms as settings over one base configuration.
"""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from icpo_cli.config.load import Layer, experiment_file, file_layers, load_layers, nearest, read_yaml
from icpo_cli.config.schema import Config
from icpo_cli.config.setting import setting
from icpo_cli.errors import UserError
from icpo_cli.runs.study_dir import JobDir, StudyDir

PROBE = "probe"
"""Name of the probe's job among those of arms."""
SUFFIXES = (".yaml", ".yml")
FILES = "files"
"""The key of an arm that is not a setting."""


@dataclass(frozen=True)
class StudyFile:
    """The keys of a study file, merged with those of the files it includes; keys of settings as the user wrote them."""

    source: str = field(default="", metadata={"no_key": True})
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


@dataclass(frozen=True)
class Arm:
    """One configuration of a study."""

    name: str
    """Name in the tables: "icpo", "icpo delta=0.3", "icpo random_reward"."""
    overrides: dict[str, Any]
    """The study's own settings for this arm, by dotted key."""
    config: Config
    """With the study's first seed."""
    against: str | None
    """Name of the arm it is compared with; None for the base arm."""
    layers: tuple[Layer, ...] = field(default=(), repr=False, compare=False)
    """The layers of `config`, on which a variation of the arm adds its own."""


@dataclass(frozen=True)
class Study:
    """Arms times seeds, in one folder."""

    name: str
    about: str
    arms: tuple[Arm, ...]
    """The base arm first."""
    seeds: tuple[int, ...]
    probe: Config | None
    """Configuration of the run whose verdicts select coarse data; train.iterations covers its epochs."""
    probe_run: str | None
    """Folder of an earlier run that replaces the probe."""
    folder: Path
    """studies/NAME-HASH8; the hash is over the arms' configurations without seeds, so a command finds its study."""
    probe_counted: bool = True
    """False in a plan whose data set is not downloaded: the iterations of the probe are unknown."""

    @property
    def files(self) -> StudyDir:
        return StudyDir(self.folder)


@dataclass(frozen=True)
class Job:
    """One arm with one seed: one `icpo train` process."""

    arm: str
    seed: int
    config: Config
    """With its own seed, name, output_dir and MLflow parent."""
    folder: Path

    @property
    def files(self) -> JobDir:
        return JobDir(self.folder)


def jobs_of(study: Study, parent: str) -> list[Job]:
    """All jobs, seed by seed, so that an interrupted study has complete seeds. `parent`: the study's MLflow run."""
    return [
        _job(study, arm.name, replace(arm.config, seed=seed), study.files.job(arm.name, seed), f" seed {seed}", parent)
        for seed in study.seeds
        for arm in study.arms
    ]


def probe_job(study: Study, probe: Config, parent: str) -> Job:
    """The job of the study's own probe run."""
    return _job(study, PROBE, probe, study.files.probe, "", parent)


def _job(study: Study, arm: str, config: Config, folder: Path, suffix: str, parent: str) -> Job:
    start = config.train.shared_start or str(study.files.start)
    config = replace(
        config,
        name=f"{study.name} {arm}{suffix}",
        train=replace(config.train, output_dir=str(folder), shared_start=start),
        track=replace(config.track, parent=parent),
    )
    return Job(arm, config.seed, config, folder)
