"""Weight syncs of tiny random models into vLLM, for test_weight_sync.py: a line of JSON with the gaps of each model.

A gap is the mean absolute difference of log-probs, in nats, between vLLM and the model.
"""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from icpo_cli.config.load import load_config
from icpo_cli.device import DeviceProfile, device_profile
from icpo_cli.errors import RunFailed
from icpo_cli.models.lab import make_tokenizer
from icpo_cli.records import Gold, Group, Prompt
from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler, engine_arguments

CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config, "gemma2": Gemma2Config}
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 128,
}
ARGUMENTS = ["model.dtype=float32", "rollout.max_prompt_tokens=64", "rollout.max_response_tokens=16"]


def main(folder: Path) -> None:
    # vLLM's Gemma 2 has no LM head of its own, as no published Gemma 2 has one.
    for name, tied in [(name, tied) for name in CONFIGS for tied in (True, False) if tied or name != "gemma2"]:
        print(json.dumps({"model": name, "tied": tied, **check(folder / f"{name}-{tied}", CONFIGS[name], tied)}))
    check_arguments(folder)


def check(folder: Path, kind: type[PreTrainedConfig], tied: bool) -> dict[str, object]:
    """Gaps at start, with all of the model's weights changed, after the sync, and of a sampled group after it."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = kind(vocab_size=len(tokenizer), tie_word_embeddings=tied, **SIZES)
    # The only form in transformers that caps Gemma 2's attention scores.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = load_config([*ARGUMENTS, "rollout.engine.kv_cache_gib=1"])
    sampler = VLLMSampler(EngineSpec.of_rollout(settings), str(folder), "float32", device_profile(settings))
    draw = random.Random(0)
    tokens = tuple(draw.randrange(len(tokenizer)) for _ in range(40))

    def gap() -> float:
        return mean_gap(sampler.probe(tokens), logprobs_of(model, tokens))

    found: dict[str, object] = {"before": gap()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    found["stale"] = gap()
    sampler.load_weights(model.named_parameters())
    found["after"] = gap()
    [group] = sampler.sample([Prompt("p", "q", Gold(""), tokens)], [1], 3, 1.0)
    found["sampled"] = max(sampled_gaps(model, group))
    found["busy"] = reset_while_running(sampler, tokens)
    sampler.close()
    return found


def sampled_gaps(model: PreTrainedModel, group: Group) -> list[float]:
    """The gap of each response's log-probs as they were returned."""
    start = len(group.prompt.tokens) - 1
    texts = [(*group.prompt.tokens, *response.tokens) for response in group.responses]
    own = [logprobs_of(model, text)[start:] for text in texts]
    return [mean_gap(each.logprobs, right) for each, right in zip(group.responses, own, strict=True)]


def logprobs_of(model: PreTrainedModel, tokens: tuple[int, ...]) -> list[float]:
    with torch.no_grad():
        logprobs = model(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
    own: list[float] = logprobs.gather(-1, torch.tensor(tokens[1:])[:, None]).squeeze(-1).tolist()
    return own


def mean_gap(left: tuple[float, ...] | list[float], right: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(left, right, strict=True)) / len(right)


def reset_while_running(sampler: VLLMSampler, tokens: tuple[int, ...]) -> str:
    """The error of a sync while a request still has keys and values of the old weights."""
    engine = sampler._llm.llm_engine
    engine.add_request("running", {"prompt_token_ids": list(tokens)}, sampler._parameters(0, 1.0))
    engine.step()
    try:
        sampler.load_weights([])
    except RunFailed as error:
        return str(error)
    finally:
        engine.abort_request(["running"])
    return ""


def check_arguments(folder: Path) -> None:
    """On CUDA, which no test has, vLLM at least knows all arguments, its calls and its tags of sleep."""
    import inspect

    from vllm import LLM, EngineArgs
    from vllm.v1.executor.abstract import SLEEP_TAGS

    cuda = DeviceProfile("cuda", torch.bfloat16, backend="nccl", sleeps=True, zero_stage=2)
    spec = replace(EngineSpec.of_rollout(load_config(ARGUMENTS)), tensor_parallel=2)
    known = inspect.signature(EngineArgs).parameters
    inspect.signature(LLM.sleep).bind(None, level=2)
    inspect.signature(LLM.wake_up).bind(None, ["weights"])
    unknown = engine_arguments(spec, str(folder), "bfloat16", cuda, 1).keys() - known.keys()
    print(json.dumps({"unknown": sorted(unknown), "tags": sorted(SLEEP_TAGS)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
