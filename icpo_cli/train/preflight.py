"""Check everything that a user can get wrong before an engine starts, and load the inputs of the run."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from icpo_cli.config.schema import Config, RolloutConfig
from icpo_cli.data.prompts import PromptSet, fingerprint, load_prompts, plain_tokens
from icpo_cli.device import device_profile
from icpo_cli.errors import UserError
from icpo_cli.evaluate.evaluator import benchmark_tasks
from icpo_cli.evaluate.plan import Task, heldout_task
from icpo_cli.grading.verifier import Verifier
from icpo_cli.models.locate import locate, read_config
from icpo_cli.models.memory import checkpoint_gib, disk_gib, fit_card, host_gib, memory_gib
from icpo_cli.models.sizes import GIB, Architecture, check_cache, check_lengths
from icpo_cli.rewards.reference import reference_tokens
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.shuffle import shuffle_golds, unmoved
from icpo_cli.runs.files import check_writable, compute_once, existing_parent
from icpo_cli.train.check import check

CACHED_FROM = 5000
"""Number of questions from which their tokens and the checks of their gold answers are cached."""


@dataclass(frozen=True)
class TrainInputs:
    """Inputs of a training run, checked."""

    model: Path
    """Folder of the initial model."""
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSet
    tasks: tuple[Task, ...]
    """Evaluated between iterations: benchmarks, then the held-out questions."""
    verifier: Verifier
    """The caller closes it."""
    golds_unmoved: int
    """Training prompts whose gold answer kept its text: all of them unless reward.control shuffles the gold answers."""
    warnings: tuple[str, ...] = ()
    """Memory or disk that may not suffice."""


@dataclass(frozen=True)
class Room:
    """Memory and disk of one host, in GiB."""

    host: float
    disk: float
    """Free where train.output_dir is."""
    card: float | None
    """Memory of a GPU; None: the run is on CPU."""
    ranks: int
    """Ranks on this host."""


def preflight(config: Config, ranks: int) -> TrainInputs:
    """Check and load. Raises UserError, one line, for the first mistake found."""
    check(config, ranks)
    check_writable(Path(config.train.output_dir), "train.output_dir")
    if config.train.shared_start is not None:
        check_writable(Path(config.train.shared_start), "train.shared_start")
    model = locate(config.model)
    architecture = Architecture.of(read_config(model))
    positions = architecture.max_position_embeddings
    check_lengths(config, positions)
    cuda = device_profile(config).type == "cuda"
    if not cuda:
        check_cache(config, architecture)
    warnings = check_room(config, architecture, ranks, room_here(config, ranks, cuda))
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    tasks = benchmark_tasks(config, tokenizer)
    verifier = Verifier(config.reward)
    try:
        prompts = load_prompts(config, tokenizer, verifier.check_golds, partial(_once, _identity(model, verifier)))
        if REWARD_SOURCES[config.reward.source].needs_reference_tokens:
            check_references(prompts, tokenizer, config.rollout, positions)
    except BaseException:
        verifier.close()
        raise
    if prompts.heldout:
        tasks.append(heldout_task(config, prompts.heldout))
    graded = controlled(prompts, config)
    return TrainInputs(model, tokenizer, graded, tuple(tasks), verifier, unmoved(prompts.train, graded.train), warnings)


def _identity(model: Path, verifier: Verifier) -> str:
    """A hash of everything but the data that decides prompt tokens and checks of gold answers."""
    digest = hashlib.sha256(verifier.version.encode())
    for path in sorted(path for path in model.iterdir() if path.suffix in (".json", ".jinja", ".model", ".txt")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _once(identity: str, inputs: Sequence[object], compute: Callable[[], Any]) -> Any:
    """The result for many inputs is kept in the user's cache: the launcher and every rank check the same data."""
    if len(inputs) < CACHED_FROM:
        return compute()
    digest = hashlib.sha256(identity.encode())
    for each in inputs:
        digest.update(repr(each).encode())
    return compute_once(digest.hexdigest()[:32], compute)


def check_room(config: Config, architecture: Architecture, ranks: int, room: Room) -> tuple[str, ...]:
    """Warnings about memory and disk that may not suffice. Raises UserError for what cannot suffice."""
    warnings = []
    parts = memory_gib(config, architecture, ranks, cuda=room.card is not None)
    if room.card is not None:
        fit = fit_card(config, architecture, ranks, room.card)
        needs = f"a rollout needs {fit.rollout:.1f}, an update up to {fit.update:.1f} of {room.card:.1f} GiB; {fit.fix}"
        if fit.fails:
            raise UserError(f"GPU memory: {needs}")
        if fit.fix is not None:
            warnings.append(f"GPU memory may not suffice: {needs}")
    else:
        least = (parts["optimizer"] + parts["sampler_weights"]) * room.ranks
        if least > room.host:
            raise UserError(
                f"memory: optimizer and sampler alone need {least:.1f} GiB, this machine has {room.host:.1f}; use a "
                "smaller model"
            )
    host = host_gib(config, architecture, ranks, room.card is not None) * room.ranks
    if host > room.host:
        warnings.append(
            f"memory may not suffice: up to {host:.1f} GiB needed, this machine has {room.host:.1f}; lower "
            "learner.micro_batch_tokens or start fewer ranks"
        )
    one, all_of_it = checkpoint_gib(config, architecture), sum(disk_gib(config, architecture).values())
    if one > room.disk:
        raise UserError(
            f"train.output_dir: {config.train.output_dir} has {room.disk:.1f} GiB free, one checkpoint takes "
            f"{one:.1f}; choose another folder"
        )
    if all_of_it > room.disk:
        warnings.append(
            f"disk may not suffice: up to {all_of_it:.1f} GiB needed, train.output_dir {config.train.output_dir} has "
            f"{room.disk:.1f} free; lower train.keep_checkpoints or choose another folder"
        )
    return tuple(warnings)


def room_here(config: Config, ranks: int, cuda: bool) -> Room:
    """The host that this process runs on."""
    devices = torch.cuda.device_count() if cuda else ranks
    device = int(os.environ.get("LOCAL_RANK", "0")) % devices
    return Room(
        host=psutil.virtual_memory().total / GIB,
        disk=shutil.disk_usage(existing_parent(Path(config.train.output_dir))).free / GIB,
        card=torch.cuda.get_device_properties(device).total_memory / GIB if cuda else None,
        ranks=int(os.environ.get("LOCAL_WORLD_SIZE", min(ranks, devices))),
    )


def controlled(prompts: PromptSet, config: Config) -> PromptSet:
    """The prompts with the gold answers that training grades by: shuffled if reward.control says so."""
    if config.reward.control != "shuffled_golds":
        return prompts
    train = shuffle_golds(prompts.train, config.seed)
    return replace(prompts, train=train, fingerprint=fingerprint((*train, *prompts.heldout)))


def check_references(
    prompts: PromptSet, tokenizer: PreTrainedTokenizerBase, rollout: RolloutConfig, positions: int
) -> None:
    """Raise UserError if a gold answer does not fit into a response, or after one into the context of the model."""
    limit = rollout.max_response_tokens
    for prompt in prompts.train:
        tokens = len(reference_tokens(prompt, partial(plain_tokens, tokenizer)))
        if tokens > limit:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens, over rollout.max_response_tokens "
                f"{limit}: it does not fit into a response"
            )
        if rollout.max_prompt_tokens + limit + tokens > positions:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens: after rollout.max_prompt_tokens "
                f"{rollout.max_prompt_tokens} + rollout.max_response_tokens {limit} it exceeds the model's {positions} "
                f"positions"
            )
