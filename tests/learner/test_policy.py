"""The packed forward and its gradients against the model's own on padded rows, one a response."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from icpo_cli.learner import attention, layer_ops, varlen_attention
from icpo_cli.learner.pack import pack
from icpo_cli.learner.policy import Policy, load_model
from icpo_cli.records import Gold, Group, Prompt, Response

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=6),
    "qwen3": Qwen3Config(**SIZES, tie_word_embeddings=True),
    "gemma2": Gemma2Config(**SIZES, sliding_window=6, final_logit_softcapping=3.0, attn_logit_softcapping=2.0),
}


@pytest.fixture(params=CONFIGS)
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    from transformers import AutoModelForCausalLM

    config: PretrainedConfig = CONFIGS[request.param]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # caps and windows have no effect on the tiny initial values
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    return str(tmp_path)


PREFIX = (3, 1, 4, 1, 5)


def random_groups(draw: random.Random, prefix: tuple[int, ...], size: int) -> list[Group]:
    """Groups of uneven lengths; the first response has no token, and the second was cut off."""

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.randrange(97) for _ in range(draw.randint(low, high)))

    groups = [
        Group(
            Prompt("", "", Gold(""), prefix + tokens(2, 12)),
            tuple(Response("", tokens(1, 14), (), "stop") for _ in range(size)),
        )
        for _ in range(4)
    ]
    none, cut_off = Response("", (), (), "stop"), Response("", tokens(14, 14), (), "length")
    return [Group(groups[0].prompt, (none, cut_off, *groups[0].responses[2:])), *groups[1:]]


def padded_reference(model: Any, groups: list[Group], temperature: float) -> list[torch.Tensor]:
    """Log-probs of each response by the model's own forward, one row a response, all padded. [t] each"""
    pairs = [(group.prompt.tokens, response.tokens) for group in groups for response in group.responses]
    width = max(len(prompt) + len(tokens) for prompt, tokens in pairs)
    ids = torch.tensor([[*prompt, *tokens, *[0] * (width - len(prompt) - len(tokens))] for prompt, tokens in pairs])
    real = torch.tensor([len(prompt) + len(tokens) for prompt, tokens in pairs])[:, None] > torch.arange(width)
    logits = model(ids, attention_mask=real).logits.float() / temperature
    rows = []
    for row, (prompt, tokens) in zip(logits, pairs, strict=True):
        predictors = row[len(prompt) - 1 : len(prompt) + len(tokens) - 1].log_softmax(-1)
        rows.append(predictors.gather(-1, torch.tensor(tokens, dtype=torch.long)[:, None]).squeeze(-1))
    return rows


def reference_varlen_attn(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """torch.nn.attention.varlen.varlen_attn as documented, one sequence at a time; causality is aligned to the end."""
    assert enable_gqa and window_size[1] == 0 and cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
    sharing, rows = query.shape[1] // key.shape[1], []
    for number in range(len(cu_seq_q) - 1):
        queries, keys = slice(*cu_seq_q[number : number + 2]), slice(*cu_seq_k[number : number + 2])
        q, k, v = query[queries], *(states[keys].repeat_interleave(sharing, 1) for states in (key, value))
        distance = torch.arange(len(k) - len(q), len(k))[:, None] - torch.arange(len(k))
        hidden = (distance < 0) | ((distance > window_size[0]) if window_size[0] >= 0 else False)
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        rows.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, -torch.inf).softmax(-1), v))
    return torch.cat(rows)


def flat(policy_logprob: torch.Tensor, groups: list[Group]) -> list[torch.Tensor]:
    rows = policy_logprob.flatten(0, 1)
    lengths = [len(response.tokens) for group in groups for response in group.responses]
    return [row[:length] for row, length in zip(rows, lengths, strict=True)]


@pytest.mark.parametrize("prefix", [(), PREFIX], ids=["no prefix", "shared prefix"])
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("form", ["short", "by level", "varlen"])
def test_log_probs_and_gradients_equal_those_of_padded_rows(
    form: str, size: int, prefix: tuple[int, ...], model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "by level":
        monkeypatch.setattr(attention, "SHORT_KEYS", 0)
    if form == "varlen":  # CUDA's choice, and a kernel that runs here
        monkeypatch.setattr(attention, "uses_varlen", lambda query, softcap: softcap is None)
        monkeypatch.setattr(varlen_attention, "varlen_attn", reference_varlen_attn)
    monkeypatch.setattr(layer_ops, "CACHED_VALUES", 300)  # a few rows at a time, so that chunks matter
    groups = random_groups(random.Random(1), prefix, size)
    weights = [torch.randn(14, generator=torch.Generator().manual_seed(i)) for i in range(4 * size)]

    def loss(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([(row * weight[: len(row)]).sum() for row, weight in zip(rows, weights, strict=True)]).sum()

    policy = Policy(load_model(model_folder, torch.float32), chunk_tokens=7)
    packed_rows = flat(policy(pack(groups), temperature=0.7).logprob, groups)
    loss(packed_rows).backward()
    own = load_model(model_folder, torch.float32)
    own.set_attn_implementation("eager")  # the only implementation with exact soft-capping for Gemma2
    own_rows = padded_reference(own, groups, temperature=0.7)
    loss(own_rows).backward()

    assert max((a - b).abs().max() for a, b in zip(packed_rows, own_rows, strict=True) if len(a)) < 2e-5
    for (name, ours), theirs in zip(policy.model.named_parameters(), own.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert (ours.grad - theirs.grad).norm() <= 1e-5 * theirs.grad.norm(), name


def test_entropy_and_self_certainty_are_those_of_the_whole_distribution(model_folder: str) -> None:
    groups = random_groups(random.Random(2), PREFIX, 3)
    policy = Policy(load_model(model_folder, torch.float32), chunk_tokens=5)
    with torch.no_grad():
        stats = policy(pack(groups), temperature=1.0, with_entropy=True, with_self_certainty=True)
    entropy, self_certainty = stats.entropy, stats.self_certainty
    group, response = groups[1], groups[1].responses[2]
    ids = torch.tensor([[*group.prompt.tokens, *response.tokens]])
    policy.model.set_attn_implementation("eager")
    distribution = torch.distributions.Categorical(
        logits=policy.model(ids).logits[0, len(group.prompt.tokens) - 1 : -1].float()
    )
    assert entropy is not None
    assert torch.allclose(entropy[1, 2, : len(response.tokens)], distribution.entropy(), atol=1e-5)
    assert (entropy[1, 2, len(response.tokens) :] == 0).all()
    uniform = torch.distributions.Categorical(logits=torch.zeros_like(distribution.logits))
    assert self_certainty is not None
    divergence = torch.distributions.kl_divergence(uniform, distribution)  # Intuitor, Eq. 4
    assert torch.allclose(self_certainty[1, 2, : len(response.tokens)], divergence, atol=1e-5)
    assert (self_certainty[1, 2, len(response.tokens) :] == 0).all()


def test_what_is_made_again_has_the_same_gradients(model_folder: str) -> None:
    groups = random_groups(random.Random(3), PREFIX, 3)
    gradients = []
    for again in (False, True):
        policy = Policy(load_model(model_folder, torch.float32), 7, gradient_checkpointing=again).train()
        policy(pack(groups), temperature=1.0).logprob.sum().backward()
        gradients.append([parameter.grad for parameter in policy.parameters()])
    for kept, made_again in zip(*gradients, strict=True):
        assert torch.equal(kept, made_again)


def test_groups_without_a_single_token_teach_nothing(model_folder: str) -> None:
    none = Response("", (), (), "stop")
    groups = [Group(Prompt("", "", Gold(""), (3, 1, 4)), (none, none))]
    policy = Policy(load_model(model_folder, torch.float32), chunk_tokens=7)
    policy(pack(groups), temperature=1.0).logprob.sum().backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in policy.parameters())
