"""A forward, and a forward with backward, at real model sizes; the same tensors in TRL's form."""

from collections.abc import Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from icpo_cli.learner.balance import forward_flops
from icpo_cli.learner.logits import LogitOptions, token_values
from icpo_cli.learner.pack import Packed, pack
from icpo_cli.learner.policy import Policy
from icpo_cli.records import Group
from scripts.gpu.table import Table, peak_gib, reset_peak, seconds
from scripts.gpu.workload import Device, architecture, model_config, paper_groups, policy_of

CHUNK = 2048
"""Tokens per chunk of logits, as in the paper's files for an H200."""


def check_pass(table: Table, device: Device, peak: float, shape: str, groups: int, checkpointing: bool) -> Policy:
    """`peak`: FLOP/s of a large matrix product. MFU counts neither padding nor recomputation."""
    judged = not device.tiny and shape != "Gemma2-2B"  # its attention with soft-capped scores has no fast kernel
    drawn = paper_groups(groups, model_config(shape).vocab_size, device)
    policy = policy_of(model_config(shape), device, device.dtype, CHUNK, checkpointing)
    packed = pack(drawn).to(torch.device(device.type))
    flops = forward_flops(drawn, architecture(shape))
    before = reset_peak()

    def score() -> None:
        with torch.no_grad():
            policy(packed, 1.0, True)

    tokens = packed.input_ids.shape[1]
    name = f"{shape}, {tokens:,} tokens, {'checkpointing' if checkpointing else 'activations kept'}"
    took = seconds(score, 2)
    mfu = flops / took / peak
    table.add(
        f"forward, {name}",
        f"{took:.3f} s, MFU {mfu:.0%}",
        "MFU over 40 %" if judged else "",
        mfu > 0.4 if judged else None,
    )
    took = seconds(lambda: learn(policy, packed), 2)
    mfu = 3 * flops / took / peak
    table.add(
        f"forward and backward, {name}",
        f"{took:.3f} s, MFU {mfu:.0%}, {tokens / took:,.0f} tokens/s, {peak_gib() - before:.1f} GiB over {before:.1f}",
        "MFU over 35 %" if judged else "",
        mfu > 0.35 if judged else None,
    )
    return policy


def learn(policy: Policy, packed: Packed) -> None:
    policy.zero_grad(set_to_none=True)
    policy(packed, 1.0, True).logprob.sum().backward()


def check_logits(table: Table, device: Device, policy: Policy, tokens: int) -> None:
    """Token log-probs of `tokens` hidden states, forward and backward, by chunk size."""
    weight = policy.lm_head.weight
    hidden = torch.randn(tokens, weight.shape[1], device=device.type, dtype=device.dtype, requires_grad=True)
    target = torch.randint(len(weight), (tokens,), device=device.type)
    for chunk in (256, 1024, 2048, 4096):

        def both(chunk: int = chunk) -> None:
            values = token_values(hidden, weight, target, LogitOptions(1.0, entropy=True), chunk)
            values.logprob.sum().backward()

        before = reset_peak()
        took = seconds(both, 2)
        flops = 8 * hidden.numel() * len(weight)  # forward once, in the backward three products
        table.add(
            f"  log-probs of {tokens:,} tokens, chunk {chunk}",
            f"{took * 1e3:.0f} ms, {flops / took / 1e12:.0f} TFLOP/s, {peak_gib() - before:.1f} GiB",
        )


def check_trl_form(table: Table, device: Device, policy: Policy, groups: Sequence[Group]) -> None:
    """Compute log-probs as TRL's GRPOTrainer does: padded rows, 5 at a time, logits of whole responses."""
    packed = pack(groups).to(torch.device(device.type))
    before = reset_peak()
    own_seconds = seconds(lambda: learn(policy, packed), 2)
    own_gib = peak_gib() - before
    own = float(policy(packed, 1.0).logprob.sum().detach())
    policy.model.set_attn_implementation("sdpa")
    policy.zero_grad(set_to_none=True)
    before = reset_peak()
    theirs = _padded_learn(policy, groups, device)
    took = seconds(lambda: _padded_learn(policy, groups, device), 1)
    table.add(
        "  the same responses in TRL's form: padded rows, 5 at a time",
        f"{took:.3f} s, {peak_gib() - before:.1f} GiB; packed {own_seconds:.3f} s, {own_gib:.1f} GiB: "
        f"{took / own_seconds:.1f} times as fast; sums of log-probs differ by {abs(theirs / own - 1):.1e}",
        "as fast or faster; below 1e-2",
        abs(theirs / own - 1) < 1e-2 and (device.tiny or took >= own_seconds),
    )


def _padded_learn(policy: Policy, groups: Sequence[Group], device: Device, at_once: int = 5) -> float:
    """Forward and backward on padded rows; returns the sum of the log-probs."""
    policy.zero_grad(set_to_none=True)
    pairs = [(group.prompt.tokens, response.tokens) for group in groups for response in group.responses]
    total = 0.0
    for start in range(0, len(pairs), at_once):
        some = pairs[start : start + at_once]
        left, right = max(len(p) for p, _ in some), max(len(t) for _, t in some)
        ids = torch.tensor([[*[0] * (left - len(p)), *p, *t, *[0] * (right - len(t))] for p, t in some])
        lengths = torch.tensor([[left - len(p), left + len(t)] for p, t in some])
        at = torch.arange(left + right)
        real = (at >= lengths[:, :1]) & (at < lengths[:, 1:])
        ids, real = ids.to(device.type), real.to(device.type)
        logits = (
            policy.model(ids, attention_mask=real, logits_to_keep=right + 1, use_cache=False).logits[:, :-1].float()
        )
        logprob = logits.gather(-1, ids[:, left:, None]).squeeze(-1) - logits.logsumexp(-1)
        loss = (logprob * real[:, left:]).sum()
        loss.backward()
        total += float(loss.detach())
    return total


def print_profile(policy: Policy, groups: Sequence[Group], device: Device) -> None:
    """The operations of a forward and backward that take the most GPU time."""
    packed = pack(groups).to(torch.device(device.type))
    learn(policy, packed)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        learn(policy, packed)
    print(profiled.key_averages().table(sort_by="self_cuda_time_total", row_limit=30, max_name_column_width=70))
