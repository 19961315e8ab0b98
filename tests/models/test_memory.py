"""Estimates of memory and disk, against values computed by hand, and what they say about a GPU of a given size."""

from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.models.memory import CARDS_GIB, checkpoint_gib, disk_gib, fit_card, memory_gib, peak_gib
from icpo_cli.models.sizes import GIB, KNOWN_MODELS, Architecture

SMALL = Architecture(
    vocab_size=100,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=4,
    intermediate_size=16,
    tie_word_embeddings=True,
    max_position_embeddings=64,
)
QWEN7B = KNOWN_MODELS["Qwen/Qwen2.5-7B"]
PAPER = Path(__file__).parents[2] / "experiments" / "paper"
PARAMETERS = 100 * 8 + 2 * (8 * 4 * 2 * (2 + 1) + 3 * 8 * 16)


def small(*settings: str) -> Config:
    sizes = ["rollout.max_prompt_tokens=6", "rollout.max_response_tokens=5", "rollout.group_size=2"]
    return load_config([*sizes, "learner.mini_batch_prompts=2", "rollout.prompts_per_iteration=2", *settings])


def in_bytes(
    config: Config, ranks: int = 1, cuda: bool = False, architecture: Architecture = SMALL
) -> dict[str, float]:
    return {name: size * GIB for name, size in memory_gib(config, SMALL, ranks, cuda).items()}


def paper(model: str, *settings: str) -> Config:
    return load_config([str(PAPER / f"{model}-icpo.yaml"), *settings])


def test_what_is_kept_between_updates() -> None:
    parts = in_bytes(small())
    assert parts["policy_weights"] == parts["reference"] == parts["sampler_weights"] == 2 * PARAMETERS
    assert parts["gradients"] == parts["optimizer_step"] == 4 * PARAMETERS
    assert parts["optimizer"] == 12 * PARAMETERS
    assert in_bytes(small("learner.kl_coef=0"))["reference"] == 0
    two = in_bytes(small("learner.zero_stage=3"), ranks=2, cuda=True)
    assert (two["policy_weights"], two["gradients"], two["optimizer"]) == (PARAMETERS, 2 * PARAMETERS, 6 * PARAMETERS)
    assert two["sampler_weights"] == 2 * PARAMETERS and two["optimizer_step"] == 0


def test_activations_are_what_the_layers_store() -> None:
    tokens = 2 * (6 + 2 * 5)  # both groups in one micro-batch, at full length
    attention = 2 * 8 + 2 * 4 + 2 * (6 + 5)  # queries and output, keys and values, weights of two heads on 11 keys
    layer = 2 * 8 + attention + 2 * 16
    stored = 2 * layer + 4 * (8 + 16)
    assert in_bytes(small())["activations"] == pytest.approx(1.3 * 2 * tokens * stored)
    recomputed = 2 * 8 + (4 * 8 + attention + 3 * 16) + 4 * (8 + 16)
    parts = in_bytes(small("learner.gradient_checkpointing=true"))
    assert parts["activations"] == pytest.approx(1.3 * 2 * tokens * recomputed)


def test_activations_on_cuda_have_copied_keys() -> None:
    tokens = 6 + 2 * 5  # longer than micro_batch_tokens: a group alone
    copied = 2 * 4 * (6 + 2 * (6 + 5)) / tokens
    layer = 2 * 8 + 2 * 8 + copied + 2 * 16
    parts = in_bytes(small("learner.micro_batch_tokens=10"), cuda=True)
    assert parts["activations"] == pytest.approx(1.1 * 2 * tokens * (2 * layer + 4 * (8 + 16)))
    assert parts["attention_masks"] == 0


def test_logits_are_those_of_a_chunk() -> None:
    tokens, chunk = 32, 4
    config = small(f"learner.logit_chunk_tokens={chunk}")
    rest = 100 * 8 * (2 * 2 + 4) + tokens * 8 * (4 + 2)
    assert in_bytes(config)["logits"] == pytest.approx(1.3 * (chunk * 100 * 2 + rest))
    assert in_bytes(config, cuda=True)["logits"] == pytest.approx(1.1 * (chunk * 100 * (2 + 16) + rest))


def test_soft_capped_attention_stores_scores_and_masks() -> None:
    gemma, config = KNOWN_MODELS["google/gemma-2-2b-it"], paper("gemma2-2b-it")
    assert memory_gib(config, gemma, 8, cuda=True)["attention_masks"] > 0.1
    assert memory_gib(paper("qwen2.5-3b"), KNOWN_MODELS["Qwen/Qwen2.5-3B"], 8, cuda=True)["attention_masks"] == 0
    assert (
        Architecture.of(GEMMA).soft_capped and not Architecture.of(GEMMA | {"attn_logit_softcapping": None}).soft_capped
    )


GEMMA = {
    "model_type": "gemma2",
    "vocab_size": 256000,
    "hidden_size": 2304,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "intermediate_size": 9216,
    "max_position_embeddings": 8192,
    "attn_logit_softcapping": 50.0,
}


def test_the_sampler_stays_on_cpu_and_sleeps_on_cuda() -> None:
    parts = {"policy_weights": 1.0, "sampler_weights": 2.0, "key_value_cache": 4.0, "optimizer_step": 9.0}
    parts |= dict.fromkeys(["activations", "attention_masks", "logits", "communication"], 2.0)
    assert peak_gib(parts, cuda=False) == 1 + 2 + 4 + 9
    assert peak_gib(parts | {"logits": 4.0}, cuda=True) == 1 + 2 + 2 + 4 + 2


def test_14b_fits_an_h200_and_an_h100_only_with_a_smaller_share_for_vllm() -> None:
    config, model = paper("qwen2.5-14b"), KNOWN_MODELS["Qwen/Qwen2.5-14B"]
    parameters = model.parameters / GIB
    always = (2 + 12 + 4 + 2) * parameters / 8 + 3
    small_card, large_card = (fit_card(config, model, 8, gib) for gib in CARDS_GIB.values())
    assert small_card.rollout == pytest.approx(always + 0.6 * 79.1)
    assert small_card.fails and small_card.fix is not None
    share = int(100 * (79.1 - always) / 79.1) / 100
    assert small_card.fix == f"set rollout.engine.gpu_memory_utilization={share:g}"
    changed = paper("qwen2.5-14b", f"rollout.engine.gpu_memory_utilization={share}")
    assert fit_card(changed, model, 8, 79.1).fix is None
    assert large_card.fix is None and not large_card.fails
    assert large_card.cache == pytest.approx(0.6 * 139.7 - 2 * parameters - 2)


@pytest.mark.parametrize(
    ("model", "ranks", "settings", "fix"),
    [
        ("qwen2.5-14b", 8, ["learner.gradient_checkpointing=false"], "set learner.gradient_checkpointing=true"),
        (
            "qwen2.5-7b",
            8,
            ["rollout.engine.gpu_memory_utilization=0.1"],
            "set rollout.engine.gpu_memory_utilization=0.",
        ),
        ("qwen2.5-7b", 1, [], "needs 2 GPUs or more: set learner.gradient_checkpointing=true --nproc 2"),
        ("qwen2.5-14b", 8, ["learner.zero_stage=1"], "set learner.zero_stage=3"),
    ],
)
def test_the_fix_is_the_smallest_change_that_fits(model: str, ranks: int, settings: list[str], fix: str) -> None:
    config = paper(model, *settings)
    found = fit_card(config, KNOWN_MODELS[config.model.path], ranks, CARDS_GIB["141 GB"]).fix
    assert found is not None and found.startswith(fix)


def test_the_papers_settings_fit_its_machine() -> None:
    for model in ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen3-4b", "llama3.1-8b-instruct", "gemma2-2b-it"):
        config = paper(model)
        assert fit_card(config, KNOWN_MODELS[config.model.path], 8, CARDS_GIB["141 GB"]).fix is None, model


def test_a_checkpoint_has_the_model_and_its_state() -> None:
    config, model = paper("qwen2.5-14b"), KNOWN_MODELS["Qwen/Qwen2.5-14B"]
    one = checkpoint_gib(config, model)
    assert one == pytest.approx(14 * model.parameters / GIB)
    assert disk_gib(config, model)["checkpoints"] == pytest.approx(4 * one)  # two newest, the best, one being written
    assert disk_gib(paper("qwen2.5-14b", "train.iterations=60"), model)["checkpoints"] == pytest.approx(2 * one)
    prime = paper("qwen2.5-14b", "method=prime")
    assert checkpoint_gib(prime, model) == pytest.approx(26 * model.parameters / GIB)


@pytest.mark.parametrize(
    ("model", "tokens", "gib"),
    [(Architecture(151936, 1536, 28, 12, 2, 128, 8960, True, 32768), 12847, 22.0), (QWEN7B, 4589, 18.1)],
    ids=["1.5B", "7B"],
)
def test_a_forward_and_backward_measured_on_an_h100(model: Architecture, tokens: int, gib: float) -> None:
    """Activations and logits in use, from docs/PERFORMANCE.md. The head's gradients came after the peak there."""
    lengths = ["rollout.max_prompt_tokens=100", f"rollout.max_response_tokens={(tokens - 100) // 5}"]
    config = load_config([*lengths, "learner.mini_batch_prompts=1", "learner.logit_chunk_tokens=2048"])
    parts = memory_gib(config, model, 1, cuda=True)
    of_head = 8 * model.vocab_size * model.hidden_size / GIB
    assert (parts["activations"] + parts["logits"]) / 1.1 - of_head == pytest.approx(gib, rel=0.05)
