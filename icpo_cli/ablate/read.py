"""From a command line to a study: what its file says, what the user adds, the arms that come of both."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from icpo_cli.ablate.arms import (
    OF_THE_STUDY,
    check_inactive_keys,
    control_variations,
    dial_variations,
    dotted,
    named_arms,
    setting_layers,
    with_variations,
)
from icpo_cli.ablate.coarse import coarse_source
from icpo_cli.ablate.study import PROBE, START, Arm, Probe, Study, slug
from icpo_cli.ablate.study_file import StudyFile, read_study_file
from icpo_cli.config.inactive_keys import inactive_keys
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

STUDIES = "studies"
"""The folder of studies, beside train.output_dir."""
RESERVED = (PROBE, START, "curves", "slurm")
"""Folders of a study beside those of its arms."""
EPOCHS = "epochs"
CHANGE_NOTHING = (
    *OF_THE_STUDY,
    "train.output_dir",
    "train.shared_start",
    "train.save_every",
    "train.keep_checkpoints",
    "train.collective_timeout_seconds",
    "track.uri",
    "track.experiment",
)
"""Settings with which a study is the same study still."""


@dataclass(frozen=True)
class Wish:
    """What a command line asks for."""

    study: str
    """A shipped study's name, or a study file."""
    arguments: Sequence[str] = ()
    """FILE.yaml and key=value."""
    seeds: str = "0"
    dials: Sequence[str] = ()
    """KEY=V1,V2, in the place of the study's own; KEY alone takes that one of the study's."""
    grid: bool = False
    controls: Sequence[str] = ()
    probe: str | None = None


def read_study(wish: Wish, fetch: bool) -> Study:
    """`fetch`: whether a data set may be had from the hub, to count its rows. Raises UserError."""
    file = read_study_file(wish.study)
    seeds = _seeds(wish.seeds)
    seed = Layer("--seeds", {"seed": seeds[0]})
    overrides = _overrides(wish.arguments)
    beneath = [*_files(file, wish.arguments), *_settings(file), *overrides]
    drafts = named_arms(file, beneath, seed)
    dials = _dials(file, wish.dials)
    if wish.grid and not dials:
        raise UserError(f"--grid: study {file.name} has no dials; give --dial KEY=V1,V2")
    origin = "--dial" if wish.dials else f"{file.source}: dials"
    controls = [*control_variations(file.controls, f"{file.source}: controls")]
    controls += control_variations([name for name in wish.controls if name not in file.controls], "--control")
    turned = with_variations(drafts, file.dial_arms, dial_variations(dials, wish.grid or file.grid, origin))
    controlled = with_variations(drafts, file.control_arms, controls)
    arms = [draft.arm for draft in [*turned, *controlled[len(drafts) :]]]
    _check_overrides(overrides, arms)
    _check_slugs(file, arms)
    identity: dict[str, Any] = {arm.name: _identity(arm.config) for arm in arms}
    probe, known_by = _probe(file, [*beneath, seed], fetch) or (None, None)
    probe_run = _probe_run(file, probe, wish.probe)
    if probe is not None:
        identity[PROBE] = [known_by, probe_run and Path(probe_run).name]
    folder = _folder(file, arms[0].config, identity)
    return Study(
        name=file.name,
        about=file.about,
        arms=tuple(arms if probe is None else _on_coarse_data(arms, _probed(probe, probe_run), folder)),
        seeds=seeds,
        probe=probe,
        probe_run=probe_run,
        folder=folder,
    )


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise UserError("--seeds: no seeds; give whole numbers, as in 0,1,2")
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            raise UserError(f"--seeds: '{part}' is not a whole number, 0 or more")
    seeds = tuple(int(part) for part in parts)
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise UserError(f"--seeds: {seed} is repeated")
    return seeds


def _files(file: StudyFile, arguments: Sequence[str]) -> list[Layer]:
    """Configuration files beneath all arms: the study's, then the user's; the quickstart where there is none."""
    paths = [*file.files, *(Path(argument) for argument in arguments if not is_override(argument))]
    return [layer for path in paths or [experiment_file("quickstart.yaml")] for layer in file_layers(path)]


def _settings(file: StudyFile) -> list[Layer]:
    return setting_layers(dotted(file.settings), f"{file.source}: settings")


def _overrides(arguments: Sequence[str]) -> list[Layer]:
    layers = [override_layer(argument) for argument in arguments if is_override(argument)]
    for layer in layers:
        setting_layers(dotted(layer.values), layer.origin)
    return layers


def _dials(file: StudyFile, asked: Sequence[str]) -> dict[str, list[Any]]:
    """Those of the command line in the place of the file's, a key without values with the file's."""
    if not asked:
        return file.dials
    dials: dict[str, list[Any]] = {}
    for text in asked:
        key, equals, values = text.partition("=")
        if key in dials:
            raise UserError(f"--dial {key}: given twice; name all its values in one")
        if not equals and key not in file.dials:
            known = f"; its dials: {', '.join(file.dials)}" if file.dials else ""
            raise UserError(f"--dial {key}: no values, and study {file.name} has none for it{known}")
        dials[key] = _values(text, values) if equals else file.dials[key]
    return dials


def _values(dial: str, text: str) -> list[Any]:
    try:
        return list(yaml.safe_load(f"[{text}]"))
    except yaml.YAMLError:
        raise UserError(f"--dial {dial}: not a KEY=V1,V2") from None


def _check_overrides(overrides: Sequence[Layer], arms: Sequence[Arm]) -> None:
    """A setting on the command line has an effect in some arm."""
    for layer in overrides:
        for key in dotted(layer.values):
            others = {arm.name: inactive_keys(arm.config).get(key) for arm in arms if key not in arm.overrides}
            if None in others.values():
                continue
            own = "every arm" if not others else "every other arm"
            whys = [f"it has no effect in {name}: {why}" for name, why in list(others.items())[:1]]
            whys += [f"{own} sets {key} itself"] if len(others) < len(arms) else []
            raise UserError(f"{layer.origin}: no arm takes it: {'; '.join(whys)}")


def _check_slugs(file: StudyFile, arms: Sequence[Arm]) -> None:
    """Each arm has a folder of its own."""
    taken = dict.fromkeys(RESERVED, "the study's own")
    for arm in arms:
        folder = slug(arm.name)
        if not folder.strip("."):
            raise UserError(f"{file.source}: arm '{arm.name}': a name needs a letter or a digit")
        if folder in taken:
            raise UserError(f"{file.source}: arm '{arm.name}': its folder {folder} is that of {taken[folder]}")
        taken[folder] = f"arm '{arm.name}'"


def _probe(file: StudyFile, beneath: Sequence[Layer], fetch: bool) -> tuple[Probe, dict[str, Any]] | None:
    """The probe, and what it is known by: its iterations are not among that, which a plan may not know."""
    if file.probe is None:
        return None
    origin = f"{file.source}: probe"
    epochs = file.probe.get(EPOCHS, 1)
    if not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"{origin}: {EPOCHS}: {epochs!r} is not a whole number, 1 or more")
    settings = dotted({key: value for key, value in file.probe.items() if key != EPOCHS})
    if "train.iterations" in settings:
        raise UserError(f"{origin}: train.iterations: follows from {EPOCHS}")
    config = resolve([*beneath, *setting_layers(settings, origin)])
    check_inactive_keys(config, settings, origin)
    identity = {**_identity(config), "train.iterations": None, EPOCHS: epochs}
    questions = _questions(config.data, fetch)
    if questions is None:
        return Probe(config, counted=False), identity
    iterations = max(1, math.ceil(epochs * questions / config.rollout.prompts_per_iteration))
    return Probe(replace(config, train=replace(config.train, iterations=iterations))), identity


def _questions(data: DataConfig, fetch: bool) -> int | None:
    """To train on: those that are not held out. None where they would have to be fetched to be counted."""
    sources = [data.train, *([] if data.heldout is None else [data.heldout])]
    if not fetch and any(source.source == "hub" for source in sources):
        return None
    train, *heldout = [load_questions(source) for source in sources]
    held_out = {question.text for questions in heldout for question in questions}
    return sum(question.text not in held_out for question in train)


def _probe_run(file: StudyFile, probe: Probe | None, wanted: str | None) -> str | None:
    if wanted is None:
        return None
    if probe is None:
        raise UserError(f"--probe {wanted}: study {file.name} has no probe; `icpo ablate coarse` has")
    return str(find_run(Path(probe.config.train.output_dir), wanted, "--probe").path)


def _folder(file: StudyFile, base: Config, identity: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Path(base.train.output_dir).parent / STUDIES / f"{slug(file.name)}-{digest[:8]}"


def _identity(config: Config) -> dict[str, Any]:
    return {key: value for key, value in flatten(to_tree(config)).items() if key not in CHANGE_NOTHING}


def _probed(probe: Probe, probe_run: str | None) -> SourceConfig:
    """What the probe draws its questions from, or the run drew its from that stands in for it."""
    config = probe.config if probe_run is None else RunDir(Path(probe_run)).config()
    return config.data.train


def _on_coarse_data(arms: Sequence[Arm], probed: SourceConfig, folder: Path) -> list[Arm]:
    """The arms, trained on what the verdicts on those questions select."""
    train = coarse_source(probed, folder)
    return [replace(arm, config=replace(arm.config, data=replace(arm.config.data, train=train))) for arm in arms]
