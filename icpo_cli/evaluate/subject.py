"""What is evaluated: a model folder, or a checkpoint of a training run, and the settings it comes with."""

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from icpo_cli.config.load import Layer, load_config, to_tree
from icpo_cli.config.schema import Config, ModelConfig
from icpo_cli.errors import UserError
from icpo_cli.models.locate import BUILDERS, HUB_FILES, architecture_of, locate
from icpo_cli.runs.run_dir import RunDir, find_run

INHERITED = {"model": ("dtype",), "data": ("template", "examples"), "track": ("uri", "experiment")}
"""Settings of a training run that hold for its evaluation too, beneath those given."""


@dataclass(frozen=True)
class Subject:
    """A model as the user named it."""

    name: str
    model: ModelConfig
    """Its path is a folder, a hub id or a name that `icpo model get` knows."""
    run_id: str | None
    """Of the training run it is a checkpoint of."""


def subject_of(name: str, arguments: Sequence[str]) -> tuple[Subject, Config]:
    """The model of --model, and the configuration of files and key=value over what its training run had.

    Nothing is fetched. Raises UserError.
    """
    config = load_config(arguments)
    if _is_model(name):
        model = dataclasses.replace(config.model, path=name)
        architecture_of(model)
        return Subject(name, model, None), dataclasses.replace(config, model=model)
    try:
        run = find_run(Path(config.train.output_dir), name, "--model")
    except UserError as error:
        others = f"a folder, a hub id (owner/name), {' or '.join(sorted(BUILDERS))}"
        raise UserError(f"{error}; a model that is no run: {others}") from None
    config = load_config(arguments, [_inherited(run)])
    checkpoint = run.checkpoint(config.eval.checkpoint)
    if checkpoint is None:
        raise UserError(f"--model {name}: run {run.id} has no checkpoint '{config.eval.checkpoint}'")
    model = ModelConfig(str(checkpoint.folder.resolve()), None, config.model.dtype)
    return Subject(f"{run.id}/{checkpoint.folder.name}", model, run.id), dataclasses.replace(config, model=model)


def fingerprint(folder: Path) -> str:
    """sha256 over all that decides what the model says: weights, configuration, tokenizer, chat template."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _decides(path.name))
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(_sha256, files))
    lines = [f"{path.name} {digest}\n" for path, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fetch(subject: Subject) -> Path:
    """The model's folder on this machine."""
    return locate(subject.model)


def _is_model(name: str) -> bool:
    """Not a run: an id, a beginning of one, or a run's folder."""
    path = Path(name).expanduser()
    if path.is_dir():
        return not RunDir(path).exists()
    return name in BUILDERS or "/" in name or name.startswith((".", "~"))


def _inherited(run: RunDir) -> Layer:
    tree = to_tree(run.config())
    values = {section: {key: tree[section][key] for key in keys} for section, keys in INHERITED.items()}
    return Layer(str(run.config_file), values)


def _decides(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in HUB_FILES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
