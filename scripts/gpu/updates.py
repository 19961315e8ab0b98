"""Updates under DeepSpeed: ZeRO 2 and 3, a loss that is not finite, state saved and loaded."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks, join, leave
from icpo_cli.learner import deepspeed_learner
from icpo_cli.learner.balance import forward_flops
from icpo_cli.learner.pack import packed_length, shared_prefix
from icpo_cli.models import memory
from icpo_cli.objective.loss import policy_loss
from icpo_cli.records import Group, LogProbs, Update
from scripts.gpu.table import Table, peak_gib, reset_peak, seconds, synchronize
from scripts.gpu.workload import SHAPES, Device, architecture, draw_groups, model_config, paper_groups, policy_of

Learner = deepspeed_learner.DeepSpeedLearner


def check_updates(table: Table, device: Device, peak: float) -> None:
    """`peak`: FLOP/s of a large matrix product."""
    shape, count = ("tiny", 8) if device.tiny else ("0.5B", 16)
    groups = draw_groups(count, 20 if device.tiny else 500, 60 if device.tiny else 2000, SHAPES[shape][-1])
    ranks, norms = join("gloo" if device.type == "cpu" else "nccl", device.type, 600), {}
    with tempfile.TemporaryDirectory() as folder:
        policy_of(model_config(shape), Device("cpu", device.tiny), torch.bfloat16, 1, False).model.save_pretrained(
            folder
        )
        for stage, checkpointing in ((2, False), (3, False), (3, True)):
            config = _config(device, stage, checkpointing, count)
            name = f"{shape}, ZeRO {stage}{', checkpointing' if checkpointing else ''}"
            norms[name] = _check_stage(table, name, config, folder, ranks, groups, shape)
    first, *others = norms.values()
    table.add(
        "gradient norms of ZeRO 2 and 3, with and without checkpointing",
        "; ".join(", ".join(f"{norm:.4g}" for norm in each) for each in norms.values()),
        "equal to 5 %",
        all(math.isclose(a, b, rel_tol=0.05) for other in others for a, b in zip(first, other, strict=True)),
    )
    for checkpointing in (False, True):
        _check_speed(table, device, peak, ranks, checkpointing)
    leave()


def _check_speed(table: Table, device: Device, peak: float, ranks: Ranks, checkpointing: bool) -> None:
    """An update of one mini-batch with lengths like the paper's, optimizer step included."""
    shape, count = ("tiny", 4) if device.tiny else ("1.5B", 16)
    groups = paper_groups(count, SHAPES[shape][-1], device)
    config = _config(device, 2, checkpointing, 2 * count)
    before = reset_peak()
    with tempfile.TemporaryDirectory() as folder:
        policy_of(model_config(shape), device, device.dtype, 1, False).model.save_pretrained(folder)
        learner = _learner(config, folder, ranks)
    advantage = torch.randn(count, 5, 1, generator=torch.Generator().manual_seed(3))
    took = seconds(lambda: learner.update(groups, lambda indices, old: advantage[indices] * old.mask, None), 2)
    mfu = 4 * forward_flops(groups, architecture(shape)) / took / peak  # the reference model's forward included
    learner.close()
    prefix = shared_prefix(groups)
    tokens = prefix + sum(packed_length(group, prefix) for group in groups)
    parts = memory.memory_gib(config, architecture(shape), 1, cuda=True)
    planned = memory.peak_gib(parts | {"libraries": 0.0}, cuda=True)
    table.add(
        f"an update of {tokens:,} tokens with a reference model, {shape}{', checkpointing' if checkpointing else ''}",
        f"{took:.2f} s, MFU {mfu:.0%}, {tokens / took:,.0f} tokens/s, {peak_gib() - before:.1f} GiB",
        f"MFU over 35 %; planned {planned:.1f} GiB",
        None if device.tiny else mfu > 0.35,
    )


def _config(device: Device, stage: int, checkpointing: bool, count: int) -> Config:
    settings = {
        "model.dtype": str(device.dtype)[6:],
        "train.device": device.type,
        "learner.zero_stage": stage,
        "learner.mini_batch_prompts": count // 2,
        "learner.learning_rate": 1e-5,
        "learner.micro_batch_tokens": 900 if device.tiny else 16384,
        "learner.logit_chunk_tokens": 2048,
        "learner.gradient_checkpointing": str(checkpointing).lower(),
        "learner.kl_coef": 0.001,
        "rollout.prompts_per_iteration": count,
        "rollout.max_response_tokens": 60 if device.tiny else 2000,
    }
    return load_config([f"{key}={value}" for key, value in settings.items()])


def _check_stage(
    table: Table, name: str, config: Config, folder: str, ranks: Ranks, groups: Sequence[Group], shape: str
) -> list[float]:
    """Two updates with one ZeRO stage; returns their gradient norms."""
    before = reset_peak()
    learner = _learner(config, folder, ranks)
    old = learner.logprobs(groups)
    _, updates = _update(learner, groups, old)
    with_weights = [weight.numel() for _, weight in list(learner.named_weights())]  # kept to the end, as vLLM does
    parts = memory.memory_gib(config, architecture(shape), 1, cuda=ranks.device.type == "cuda")
    planned = memory.peak_gib(parts | {"libraries": 0.0}, cuda=True)
    table.add(
        f"two updates, {name}",
        f"log-ratio of the first {updates[0].log_ratio:.1e}, {peak_gib() - before:.1f} GiB",
        f"0; planned {planned:.1f} GiB",
        updates[0].log_ratio == 0 and not updates[0].skipped and all(with_weights),
    )
    if config.learner.zero_stage == 3 and not config.learner.gradient_checkpointing:
        _check_poison(table, learner, groups, old)
        _check_state(table, learner, config, folder, ranks, groups, old)
    learner.close()
    return [update.grad_norm for update in updates]


def _learner(config: Config, folder: str, ranks: Ranks) -> Learner:
    """With ZeRO 3's persistence threshold at 0: above it small weights would not be partitioned."""
    original = deepspeed_learner.deepspeed_config

    def partitioned(*arguments: Any) -> dict[str, Any]:
        made = original(*arguments)
        made["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return made

    with mock.patch.object(deepspeed_learner, "deepspeed_config", partitioned):
        return Learner(config, folder, device_profile(config), ranks, policy_loss(config))


def _update(
    learner: Learner, groups: Sequence[Group], old: LogProbs, poison: bool = False
) -> tuple[LogProbs, list[Update]]:
    advantage = torch.randn(len(groups), len(groups[0].responses), 1, generator=torch.Generator().manual_seed(3))
    if poison:
        advantage[0, 0] = float("nan")
    updates = learner.update(groups, lambda indices, part: advantage[indices] * part.mask, old)
    synchronize()
    return updates


def _check_poison(table: Table, learner: Learner, groups: Sequence[Group], old: LogProbs) -> None:
    skipped = [update.skipped for update in _update(learner, groups, old, poison=True)[1]]
    table.add(
        "  an advantage of NaN in the first update", f"skipped: {skipped}", "the first only", skipped == [True, False]
    )


def _check_state(
    table: Table, learner: Learner, config: Config, folder: str, ranks: Ranks, groups: Sequence[Group], old: LogProbs
) -> None:
    """A loaded state against the one saved: log-probs, and gradient norms of the next updates.

    FlashAttention sums gradients in an order that changes between runs.
    """
    with tempfile.TemporaryDirectory() as state:
        learner.save_state(Path(state))
        size = sum(file.stat().st_size for file in Path(state).rglob("*.safetensors")) / 2**30
        logprobs, undisturbed = learner.logprobs(groups).logprob, _update(learner, groups, old)[1]
        resumed = _learner(config, folder, ranks)
        resumed.load_state(Path(state))
        difference = float((resumed.logprobs(groups).logprob - logprobs).abs().max())
        updates = _update(resumed, groups, old)[1]
        resumed.close()
    pairs = [(a.grad_norm, b.grad_norm) for a, b in zip(undisturbed, updates, strict=True)]
    table.add(
        "  state saved, loaded, and updated again",
        f"{size:.2f} GiB; log-probs differ by {difference:.1e}; "
        f"gradient norms {', '.join(f'{a:.6g} and {b:.6g}' for a, b in pairs)}",
        "0; equal to 1 %",
        difference == 0 and all(math.isclose(a, b, rel_tol=0.01) for a, b in pairs),
    )
