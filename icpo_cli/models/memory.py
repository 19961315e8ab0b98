"""Memory and disk that a training run needs, from its configuration and the sizes of its model.

Memory is an upper bound: every response of a micro-batch has the maximum length. docs/PERFORMANCE.md compares it with
measurements.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from icpo_cli.config.schema import Config
from icpo_cli.models.sizes import GIB, Architecture

CARDS_GIB = {"80 GB": 79.1, "141 GB": 139.7}
"""Memory of an H100 and of an H200 as torch reports it."""
SHORT_KEYS = 512
"""Most keys for which the CPU's attention stores its weights (learner/attention.py)."""
CONTEXT_GIB = 3.0
"""CUDA contexts, NCCL, and what vLLM keeps while it sleeps. An estimate."""
ENGINE_GIB = 2.0
"""vLLM's own working memory on CUDA, within gpu_memory_utilization. An estimate."""
PROCESS_GIB = 1.6
"""Python with torch, DeepSpeed, vLLM and MLflow on CPU, measured."""
FRAGMENTATION = {"cpu": 1.3, "cuda": 1.1}
"""Memory that the allocator holds in an update over what is in use. CPU: measured; CUDA: an estimate."""
STORED_BYTES_A_TOKEN = 14
"""Bytes of a stored response per token: token, log-prob and text, compressed. Measured with SmolLM2."""
LIVE_PARAMETERS, BUCKET = 10**9, 5 * 10**8
"""DeepSpeed's defaults: gathered parameters at ZeRO 3, gradients reduced at once."""


def memory_gib(config: Config, architecture: Architecture, ranks: int, cuda: bool) -> dict[str, float]:
    """Estimated memory of each part on one rank, in GiB. `peak_gib` says which are needed at the same time."""
    learner, parameters = config.learner, architecture.parameters
    width, stage = _width(config), _zero_stage(config, ranks, cuda)
    shard = {at: ranks if stage >= at else 1 for at in (1, 2, 3)}
    tokens = _micro_batch_tokens(config, ranks)
    weights = parameters * width
    held = FRAGMENTATION["cuda" if cuda else "cpu"]
    parts = {
        "policy_weights": weights / shard[3],
        "optimizer": parameters * (12 if width == 2 or stage > 0 else 8) / shard[1],
        "gradients": parameters * (4 if stage > 0 else width) / shard[2],
        "reference": weights / shard[3] if learner.kl_coef > 0 else 0,
        "activations": held * tokens * width * _activation_values(config, architecture, cuda),
        "attention_masks": tokens * _mask_bytes(config, architecture, cuda),
        "logits": held * _logit_bytes(config, architecture, tokens, cuda),
        # Below ZeRO 3, DeepSpeed copies the gradients into one tensor for the step.
        "optimizer_step": parameters * 4 / shard[1] if stage in (1, 2) else 0,
        "communication": _communication_bytes(parameters, stage) if cuda and ranks > 1 else 0,
        "sampler_weights": weights,
        "key_value_cache": sequence_cache_bytes(config, architecture),
        "libraries": (CONTEXT_GIB if cuda else PROCESS_GIB) * GIB,
    }
    if not cuda:
        sequences = (config.rollout.engine.max_num_seqs + 2) * parts["key_value_cache"]
        parts["key_value_cache"] = min(config.rollout.engine.kv_cache_gib * GIB, sequences)
    if config.reward.source == "process":
        own = ("policy_weights", "optimizer", "gradients")
        parts["process_model"] = sum(parts[name] for name in own) + weights / shard[3]  # and its reference
    return {name: size / GIB for name, size in parts.items()}


ALWAYS = ("policy_weights", "optimizer", "gradients", "reference", "process_model", "libraries")
IN_AN_UPDATE = ("activations", "attention_masks", "logits", "optimizer_step", "communication")
OF_THE_SAMPLER = ("sampler_weights", "key_value_cache")


def peak_gib(parts: Mapping[str, float], cuda: bool) -> float:
    """Memory of one rank in an update, in GiB. On CUDA the sampler sleeps then."""
    backward = sum(parts[name] for name in IN_AN_UPDATE if name != "optimizer_step")
    sampler = 0.0 if cuda else sum(parts[name] for name in OF_THE_SAMPLER)
    return _always(parts) + sampler + max(backward, parts["optimizer_step"])


@dataclass(frozen=True)
class CardFit:
    """The memory of one GPU in both phases of an iteration, in GiB."""

    rollout: float
    """The learner, and the share of the card that vLLM takes at its start."""
    update: float
    """With responses of the maximum length."""
    cache: float
    """Key-value cache, at least enough for one response of the maximum length."""
    fix: str | None
    """Settings to change if it does not fit."""
    fails: bool
    """It does not fit even without the parts that are estimates: vLLM would not start."""


def fit_card(config: Config, architecture: Architecture, ranks: int, card_gib: float) -> CardFit:
    """Compare a run on CUDA with the memory of its GPUs."""
    parts = memory_gib(config, architecture, ranks, cuda=True)
    utilization = config.rollout.engine.gpu_memory_utilization
    rollout, update = _always(parts) + utilization * card_gib, peak_gib(parts, cuda=True)
    cache = utilization * card_gib - parts["sampler_weights"] - ENGINE_GIB
    # Below ZeRO 3, gradients exist only from the first backward pass to the step.
    unsure = CONTEXT_GIB + (0 if _zero_stage(config, ranks, cuda=True) == 3 else parts["gradients"])
    fits = max(rollout, update) <= card_gib and cache >= parts["key_value_cache"]
    return CardFit(
        rollout,
        update,
        cache,
        fix=None if fits else _fix(config, architecture, ranks, card_gib),
        fails=rollout - unsure > card_gib or cache + ENGINE_GIB < parts["key_value_cache"],
    )


def disk_gib(config: Config, architecture: Architecture) -> dict[str, float]:
    """Disk that a run takes at most, in GiB, by part: checkpoints, and responses of the maximum length.

    At once there are the newest checkpoints, the best one, and one that is being written.
    """
    rollout, train = config.rollout, config.train
    checkpoints = min(train.keep_checkpoints + 2, -(-train.iterations // train.save_every))
    responses = rollout.prompts_per_iteration * (rollout.votes or rollout.group_size) * config.train.iterations
    return {
        "checkpoints": checkpoint_gib(config, architecture) * checkpoints,
        "responses": responses * rollout.max_response_tokens * STORED_BYTES_A_TOKEN / GIB,
    }


def checkpoint_gib(config: Config, architecture: Architecture) -> float:
    """Size of one checkpoint: the model, and master weights and moments in float32, of the process model too."""
    trained = 2 if config.reward.source == "process" else 1
    return architecture.parameters * (_width(config) + 12 * trained) / GIB


def host_gib(config: Config, architecture: Architecture, ranks: int, cuda: bool) -> float:
    """Memory of one rank in its host. With GPUs it loads all weights there before it moves them to its GPU."""
    if not cuda:
        return peak_gib(memory_gib(config, architecture, ranks, cuda), cuda)
    return architecture.parameters * _width(config) / GIB + 2 * PROCESS_GIB


def sequence_cache_bytes(config: Config, architecture: Architecture) -> int:
    """Key-value cache of one prompt and response of the maximum lengths."""
    tokens = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    return tokens * architecture.kv_cache_values_a_token * _width(config)


def _width(config: Config) -> int:
    """Bytes of a weight or activation."""
    return 2 if config.model.dtype == "bfloat16" else 4


def _zero_stage(config: Config, ranks: int, cuda: bool) -> int:
    stage = (2 if cuda else 1) if config.learner.zero_stage is None else config.learner.zero_stage
    return 1 if stage == 2 and ranks == 1 else stage


def _micro_batch_tokens(config: Config, ranks: int) -> int:
    """Most tokens of one forward pass with gradient."""
    longest = longest_group(config)
    groups = max(1, config.learner.mini_batch_prompts // ranks)
    return min(max(config.learner.micro_batch_tokens, longest), groups * longest)


def longest_group(config: Config) -> int:
    """Tokens of a prompt with all its responses."""
    return config.rollout.max_prompt_tokens + config.rollout.group_size * config.rollout.max_response_tokens


def _activation_values(config: Config, architecture: Architecture, cuda: bool) -> float:
    """Values that a token needs in the backward pass: stored ones of all layers, and gradients of one layer."""
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    attention = _attention_values(config, architecture, cuda)
    recomputes = config.learner.gradient_checkpointing
    if architecture.soft_capped:  # Gemma2: four norms of three tensors, one in float32; the MLP's four
        layer = 16 * hidden + attention + 4 * inner
    elif recomputes:
        layer = 4 * hidden + attention + 3 * inner
    else:  # learner/layer_ops.py: norms and the MLP's activation store only their inputs
        layer = 2 * hidden + attention + 2 * inner
    layers = architecture.num_hidden_layers
    stored = layers * hidden + layer if recomputes else layers * layer
    return stored + 4 * (hidden + inner)


def _attention_values(config: Config, architecture: Architecture, cuda: bool) -> float:
    """Values that the attention of one layer stores per token."""
    rollout, group = config.rollout, config.rollout.group_size
    heads = architecture.num_attention_heads
    queries, keys = heads * architecture.head_dim, 2 * architecture.num_key_value_heads * architecture.head_dim
    visible = rollout.max_prompt_tokens + rollout.max_response_tokens
    # A prompt's keys and values are copied to each of its responses.
    copied = keys * (rollout.max_prompt_tokens + group * visible) / longest_group(config)
    if architecture.soft_capped:  # tanh, softmax in float32, and softmax in the model's dtype
        return 3 * queries + copied + heads * visible * (2 + 4 / _width(config))
    if cuda:
        return 2 * queries + copied
    if visible <= SHORT_KEYS:
        return 2 * queries + keys + heads * visible
    return 3 * queries + copied


def _mask_bytes(config: Config, architecture: Architecture, cuda: bool) -> float:
    """Masks of a token's queries, shared by all layers; none where attention works by segments."""
    visible = config.rollout.max_prompt_tokens + config.rollout.max_response_tokens
    sharing = architecture.num_attention_heads // architecture.num_key_value_heads
    if architecture.soft_capped:
        return 2 * sharing * visible  # with and without a sliding window
    return 0 if cuda or visible <= SHORT_KEYS else sharing * visible * (1 + _width(config))


def _logit_bytes(config: Config, architecture: Architecture, tokens: int, cuda: bool) -> float:
    """Logits of one chunk; gradients of LM head and embedding, one also in float32; those of the last hidden states."""
    width, vocabulary, hidden = _width(config), architecture.vocab_size, architecture.hidden_size
    chunk = min(config.learner.logit_chunk_tokens, tokens) * vocabulary
    # On CUDA a chunk is processed at once: logits, log-probs, probabilities and their products in float32.
    return chunk * (width + 16 * cuda) + vocabulary * hidden * (2 * width + 4) + tokens * hidden * (4 + width)


def _communication_bytes(parameters: int, stage: int) -> float:
    bucket = min(parameters, BUCKET)
    return min(parameters, LIVE_PARAMETERS) * 2 + bucket * 6 if stage == 3 else bucket * 8


def _always(parts: Mapping[str, float]) -> float:
    """Memory that the learner keeps while vLLM samples, in GiB."""
    return sum(parts.get(name, 0.0) for name in ALWAYS)


def _fix(config: Config, architecture: Architecture, ranks: int, card_gib: float) -> str:
    """The fewest changed settings with which the run fits, else more GPUs."""
    for count in (n for n in range(ranks, config.learner.mini_batch_prompts + 1) if _divides(n, config)):
        for changed, settings in _variants(config, count):
            settings = [*settings, *([f"--nproc {count}"] if count > ranks else [])]
            parts = memory_gib(changed, architecture, count, cuda=True)
            room = card_gib - _always(parts)
            least = sum(parts[name] for name in OF_THE_SAMPLER) + ENGINE_GIB
            if peak_gib(parts, cuda=True) > card_gib or least > room:
                continue
            utilization = config.rollout.engine.gpu_memory_utilization
            fitting = min(
                max(utilization, math.ceil(100 * least / card_gib) / 100), math.floor(100 * room / card_gib) / 100
            )
            if fitting != utilization:
                settings.append(f"rollout.engine.gpu_memory_utilization={fitting:g}")
            needs = f"needs {count} GPUs or more: " if count > ranks else ""
            return f"{needs}set {' '.join(settings)}"
    return "no number of GPUs suffices"


def _divides(ranks: int, config: Config) -> bool:
    return config.learner.mini_batch_prompts % ranks == 0


def _variants(config: Config, ranks: int) -> Iterator[tuple[Config, list[str]]]:
    """The configuration with none, one, then more of the settings that save memory in an update."""
    candidates: dict[str, Any] = {"gradient_checkpointing": True, "zero_stage": 3, "logit_chunk_tokens": 256}
    if ranks == 1:
        del candidates["zero_stage"]
    learner = config.learner
    if learner.micro_batch_tokens > longest_group(config):
        candidates["micro_batch_tokens"] = longest_group(config)
    useful = [name for name, value in candidates.items() if getattr(learner, name) != value]
    for size in range(len(useful) + 1):
        for names in combinations(useful, size):
            chosen = {name: candidates[name] for name in names}
            settings = [f"learner.{name}={str(value).lower()}" for name, value in chosen.items()]
            yield replace(config, learner=replace(learner, **chosen)), settings
