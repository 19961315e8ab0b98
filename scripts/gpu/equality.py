"""Packed rows against the model's own forward on padded rows: log-probs and gradients, on the device's kernels."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from icpo_cli.learner.pack import pack
from icpo_cli.learner.policy import Policy
from icpo_cli.records import Group
from scripts.gpu.table import Table
from scripts.gpu.workload import Device, draw_groups, policy_of

SIZES = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "pad_token_id": 0,
}
CONFIGS = {
    "Llama": LlamaConfig(**SIZES),
    "Qwen2": Qwen2Config(**SIZES),
    "Qwen3, tied": Qwen3Config(**SIZES, tie_word_embeddings=True),
    "Mistral, window of 64": MistralConfig(**SIZES, sliding_window=64),
    "Gemma2": Gemma2Config(**SIZES, sliding_window=64, final_logit_softcapping=30.0, attn_logit_softcapping=50.0),
}
LOGPROB_BOUNDS = {torch.float32: 2e-4, torch.bfloat16: 0.05}
"""Largest mean difference of log-probs, in nats."""
GRADIENT_BOUNDS = {torch.float32: 2e-3, torch.bfloat16: 0.1}
"""Largest relative difference of a weight's gradient, by norm."""


def check_equality(table: Table, device: Device) -> None:
    groups = draw_groups(4, 30 if device.tiny else 120, 60 if device.tiny else 300, 4096, prompt=20, prefix=12)
    for name, config in CONFIGS.items():
        for dtype in (torch.float32, torch.bfloat16):
            policy = policy_of(config, device, dtype, chunk=33, checkpointing=False)
            with torch.no_grad():
                for parameter in policy.model.parameters():  # caps and windows have no effect on small initial values
                    parameter.add_(0.05 * torch.randn_like(parameter))
            logprob, gradient = _differences(policy, _float32_copy(policy, config), groups, device)
            table.add(
                f"packed against padded rows, {name}, {str(dtype)[6:]}",
                f"log-probs {logprob:.1e} on average; gradients {gradient:.1e}",
                f"below {LOGPROB_BOUNDS[dtype]:g}; {GRADIENT_BOUNDS[dtype]:g}",
                logprob < LOGPROB_BOUNDS[dtype] and gradient < GRADIENT_BOUNDS[dtype],
            )


def _differences(policy: Policy, reference: Any, groups: Sequence[Group], device: Device) -> tuple[float, float]:
    """Mean absolute difference of log-probs, and the largest relative difference of a weight's gradient."""
    packed = policy(pack(groups).to(torch.device(device.type)), temperature=1.0).logprob.flatten(0, 1)
    expected = padded_logprobs(reference, groups, device)
    ours = [row[: len(own)] for row, own in zip(packed, expected, strict=True)]
    difference = torch.cat([(a.float() - b).abs() for a, b in zip(ours, expected, strict=True)])
    torch.cat(ours).sum().backward()
    torch.cat(expected).sum().backward()
    worst = 0.0
    for a, b in zip(policy.model.parameters(), reference.parameters(), strict=True):
        worst = max(worst, float((a.grad.float() - b.grad).norm() / b.grad.norm().clamp(min=1e-12)))
    return float(difference.detach().mean()), worst


def _float32_copy(policy: Policy, config: Any) -> Any:
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32)
    model.load_state_dict({name: weight.float() for name, weight in policy.model.state_dict().items()})
    model.set_attn_implementation("eager")  # the only one with exact soft-capping
    return model.to(policy.lm_head.weight.device)


def padded_logprobs(model: Any, groups: Sequence[Group], device: Device) -> list[Tensor]:
    """Log-probs of each response, one padded row per response. [t] each"""
    pairs = [(group.prompt.tokens, response.tokens) for group in groups for response in group.responses]
    width = max(len(prompt) + len(tokens) for prompt, tokens in pairs)
    ids = torch.tensor([[*p, *t, *[0] * (width - len(p) - len(t))] for p, t in pairs], device=device.type)
    real = torch.tensor([len(p) + len(t) for p, t in pairs])[:, None] > torch.arange(width)
    logits = model(ids, attention_mask=real.to(device.type)).logits.float()
    rows = []
    for row, (prompt, tokens) in zip(logits, pairs, strict=True):
        logprobs = row[len(prompt) - 1 : len(prompt) + len(tokens) - 1].log_softmax(-1)
        rows.append(logprobs.gather(-1, torch.tensor(tokens, device=device.type)[:, None]).squeeze(-1))
    return rows
