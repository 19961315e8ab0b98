"""Print the gap between vLLM and the model: at start, with changed weights, after a sync. For test_weight_sync.py."""

import random
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from icpo_cli.config.load import load_config
from icpo_cli.device import device_profile
from icpo_cli.models.lab import make_tokenizer
from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler


def main(folder: Path, tied: bool) -> None:
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), **sizes, num_key_value_heads=1, tie_word_embeddings=tied)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    arguments = ["model.dtype=float32", "rollout.max_prompt_tokens=64", "rollout.max_response_tokens=16"]
    settings = load_config([*arguments, "rollout.engine.kv_cache_gib=1"])
    sampler = VLLMSampler(EngineSpec.of_rollout(settings), str(folder), "float32", device_profile(settings))
    draw = random.Random(0)
    tokens = [draw.randrange(len(tokenizer)) for _ in range(40)]

    def gap() -> None:
        with torch.no_grad():
            logprobs = model(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        own = logprobs.gather(-1, torch.tensor(tokens[1:])[:, None]).squeeze(-1)
        print("GAP", float((torch.tensor(sampler.probe(tokens)) - own).abs().mean()))

    gap()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    gap()
    sampler.load_weights(model.named_parameters())
    gap()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "True")
