"""From the command line to a study: the arms of its file, the settings that the user adds, and its folder."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from icpo_cli.ablate.arms import (
    STUDY_KEYS,
    check_active,
    control_variations,
    dotted,
    named_arms,
    setting_layers,
    sweep_variations,
    with_variations,
)
from icpo_cli.ablate.coarse import coarse_source
from icpo_cli.ablate.study import PROBE, Arm, Study, StudyFile, read_study_file
from icpo_cli.config.check import inactive_keys
from icpo_cli.config.load import (
    Layer,
    experiment_file,
    file_layers,
    flatten,
    is_override,
    override_layer,
    resolve,
    to_tree,
)
from icpo_cli.config.schema import Config, DataConfig, SourceConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import RunDir, find_run
from icpo_cli.runs.study_dir import StudyDir, slug

EPOCHS = "epochs"
IDENTITY_IGNORES = (
    *STUDY_KEYS,
    "train.output_dir",
    "train.shared_start",
    "train.save_every",
    "train.keep_checkpoints",
    "train.collective_timeout_seconds",
    "track.uri",
    "track.experiment",
)
"""Settings that do not change the identity, and thus the folder, of a study."""


def read_study(
    study: str,
    arguments: Sequence[str] = (),
    seeds: str = "0",
    sweep: Sequence[str] = (),
    grid: bool = False,
    controls: Sequence[str] = (),
    probe: str | None = None,
    fetch: bool = False,
) -> Study:
    """Resolve the study that the arguments and options of `icpo ablate` define. Raises UserError.

    `study`: name of a shipped study, or a study file. `sweep`: KEY=V1,V2 of --dial, instead of the study's own sweep;
    KEY alone takes the study's values. `fetch`: whether a data set may be downloaded to count its rows.
    """
    file = read_study_file(study)
    numbers = _seeds(seeds)
    seed = Layer("--seeds", {"seed": numbers[0]})
    overrides = _overrides(arguments)
    base_layers = [*_files(file, arguments), *_settings(file), *overrides]
    named = named_arms(file, base_layers, seed)
    values = _sweep(file, sweep)
    if grid and not values:
        raise UserError(f"--grid: study {file.name} has no dials; give --dial KEY=V1,V2")
    origin = "--dial" if sweep else f"{file.source}: dials"
    control = [*control_variations(file.controls, f"{file.source}: controls")]
    control += control_variations([name for name in controls if name not in file.controls], "--control")
    swept = with_variations(named, file.dial_arms, sweep_variations(values, grid or file.grid, origin))
    controlled = with_variations(named, file.control_arms, control)
    arms = [*swept, *controlled[len(named) :]]
    _check_overrides(overrides, arms)
    _check_slugs(file, arms)
    identity: dict[str, Any] = {arm.name: _identity(arm.config) for arm in arms}
    probe_config, probe_identity, counted = _probe(file, [*base_layers, seed], fetch)
    probe_run = _probe_run(file, probe_config, probe)
    if probe_config is not None:
        identity[PROBE] = [probe_identity, probe_run and Path(probe_run).name]
    files = _folder(file, arms[0].config, identity)
    return Study(
        name=file.name,
        about=file.about,
        arms=tuple(arms if probe_config is None else _on_coarse_data(arms, _probed(probe_config, probe_run), files)),
        seeds=numbers,
        probe=probe_config,
        probe_run=probe_run,
        folder=files.path,
        probe_counted=counted,
    )


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError("--seeds: no seeds; expected integers, as in 0,1,2")
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            raise UserError(f"--seeds: '{part}' is not a whole number, 0 or more")
    seeds = tuple(int(part) for part in parts)
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise UserError(f"--seeds: {seed} is repeated")
    return seeds


def _files(file: StudyFile, arguments: Sequence[str]) -> list[Layer]:
    """Configuration files of all arms: the study's, then the user's; the quickstart if there is none."""
    paths = [*map(Path, file.files), *(Path(argument) for argument in arguments if not is_override(argument))]
    return [layer for path in paths or [experiment_file("quickstart.yaml")] for layer in file_layers(path)]


def _settings(file: StudyFile) -> list[Layer]:
    return setting_layers(dotted(file.settings), f"{file.source}: settings")


def _overrides(arguments: Sequence[str]) -> list[Layer]:
    layers = [override_layer(argument) for argument in arguments if is_override(argument)]
    for layer in layers:
        setting_layers(dotted(layer.values), layer.origin)
    return layers


def _sweep(file: StudyFile, requested: Sequence[str]) -> dict[str, list[Any]]:
    """The sweep of the command line, else the file's; a key without values takes the file's."""
    if not requested:
        return file.dials
    sweep: dict[str, list[Any]] = {}
    for text in requested:
        key, equals, values = text.partition("=")
        if key in sweep:
            raise UserError(f"--dial {key}: set twice; put all its values into one")
        if not equals and key not in file.dials:
            known = f"; its dials: {', '.join(file.dials)}" if file.dials else ""
            raise UserError(f"--dial {key}: no values, and study {file.name} has none for it{known}")
        sweep[key] = _values(text, values) if equals else file.dials[key]
    return sweep


def _values(option: str, text: str) -> list[Any]:
    try:
        return list(yaml.safe_load(f"[{text}]"))
    except yaml.YAMLError:
        raise UserError(f"--dial {option}: not a KEY=V1,V2") from None


def _check_overrides(overrides: Sequence[Layer], arms: Sequence[Arm]) -> None:
    """Raise UserError on a setting of the command line that has an effect in no arm."""
    for layer in overrides:
        for key in dotted(layer.values):
            others = {arm.name: inactive_keys(arm.config).get(key) for arm in arms if key not in arm.overrides}
            if None in others.values():
                continue
            setting = "every arm" if not others else "every other arm"
            reasons = [f"it has no effect in {name}: {reason}" for name, reason in list(others.items())[:1]]
            reasons += [f"{setting} sets {key} itself"] if len(others) < len(arms) else []
            raise UserError(f"{layer.origin}: no arm takes it: {'; '.join(reasons)}")


def _check_slugs(file: StudyFile, arms: Sequence[Arm]) -> None:
    """Raise UserError unless each arm has its own folder."""
    taken = dict.fromkeys(StudyDir.OWN, "the study's own")
    for arm in arms:
        folder = slug(arm.name)
        if not folder.strip("."):
            raise UserError(f"{file.source}: arm '{arm.name}': a name needs a letter or a digit")
        if folder in taken:
            raise UserError(f"{file.source}: arm '{arm.name}': its folder {folder} is that of {taken[folder]}")
        taken[folder] = f"arm '{arm.name}'"


def _probe(
    file: StudyFile, base_layers: Sequence[Layer], fetch: bool
) -> tuple[Config | None, dict[str, Any] | None, bool]:
    """Configuration and identity of the probe, and whether its iterations are counted; (None, None, True) without one.

    The identity has the epochs instead of the iterations, which a plan may not know.
    """
    if file.probe is None:
        return None, None, True
    origin = f"{file.source}: probe"
    epochs = file.probe.get(EPOCHS, 1)
    if not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"{origin}: {EPOCHS}: {epochs!r} is not a whole number, 1 or more")
    settings = dotted({key: value for key, value in file.probe.items() if key != EPOCHS})
    if "train.iterations" in settings:
        raise UserError(f"{origin}: train.iterations: follows from {EPOCHS}")
    config = resolve([*base_layers, *setting_layers(settings, origin)])
    check_active(config, settings, origin)
    identity = {**_identity(config), "train.iterations": None, EPOCHS: epochs}
    questions = _questions(config.data, fetch)
    if questions is None:
        return config, identity, False
    iterations = max(1, math.ceil(epochs * questions / config.rollout.prompts_per_iteration))
    return replace(config, train=replace(config.train, iterations=iterations)), identity, True


def _questions(data: DataConfig, fetch: bool) -> int | None:
    """Number of training questions that are not held out; None if they would have to be downloaded to be counted."""
    sources = [data.train, *([] if data.heldout is None else [data.heldout])]
    if not fetch and any(source.source == "hub" for source in sources):
        return None
    train, *heldout = [load_questions(source) for source in sources]
    held_out = {question.text for questions in heldout for question in questions}
    return sum(question.text not in held_out for question in train)


def _probe_run(file: StudyFile, probe: Config | None, run: str | None) -> str | None:
    if run is None:
        return None
    if probe is None:
        raise UserError(f"--probe {run}: study {file.name} has no probe; `icpo ablate coarse` has")
    return str(find_run(Path(probe.train.output_dir), run, "--probe").path)


def _folder(file: StudyFile, base: Config, identity: dict[str, Any]) -> StudyDir:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return StudyDir.named(f"{slug(file.name)}-{digest[:8]}", Path(base.train.output_dir))


def _identity(config: Config) -> dict[str, Any]:
    return {key: value for key, value in flatten(to_tree(config)).items() if key not in IDENTITY_IGNORES}


def _probed(probe: Config, probe_run: str | None) -> SourceConfig:
    """The source of the questions of the probe, or of the earlier run that replaces it."""
    config = probe if probe_run is None else RunDir(Path(probe_run)).config()
    return config.data.train


def _on_coarse_data(arms: Sequence[Arm], probed: SourceConfig, files: StudyDir) -> list[Arm]:
    """The arms with the coarse data of the study as training data."""
    train = coarse_source(probed, files)
    return [replace(arm, config=replace(arm.config, data=replace(arm.config.data, train=train))) for arm in arms]
