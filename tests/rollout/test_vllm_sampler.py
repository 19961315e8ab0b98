"""The calls that the sampler makes to vLLM on CUDA, recorded by a stand-in."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig

from icpo_cli.config.load import load_config
from icpo_cli.device import DeviceProfile
from icpo_cli.errors import RunFailed
from icpo_cli.models.lab import make_tokenizer
from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler, engine_arguments

SPEC = EngineSpec.of_rollout(load_config([]))
CUDA = DeviceProfile("cuda", torch.bfloat16, backend="nccl", sleeps=True, zero_stage=2)


@dataclass
class RecordingLLM:
    """vLLM's LLM as far as memory, weights and the prefix cache are concerned."""

    calls: list[str] = field(default_factory=list)
    resets: bool = True

    def sleep(self, level: int) -> None:
        self.calls.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.calls.append(f"wake {' '.join(tags)}")

    def collective_rpc(self, method: Any, args: tuple[Iterator[tuple[str, Tensor]]]) -> None:
        self.calls.append(f"load {' '.join(name for name, _ in args[0])}")

    def reset_prefix_cache(self) -> bool:
        self.calls.append("reset")
        return self.resets


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> RecordingLLM:
    made, module = RecordingLLM(), ModuleType("vllm")
    monkeypatch.setattr(module, "LLM", lambda **arguments: made, raising=False)
    monkeypatch.setitem(sys.modules, "vllm", module)
    return made


def weights() -> Iterator[tuple[str, Tensor]]:
    yield "w", torch.zeros(1)


def never() -> Iterator[tuple[str, Tensor]]:
    raise AssertionError("the weights were read")
    yield


def test_asleep_no_weights_are_kept_and_the_cache_returns_after_the_sync(llm: RecordingLLM) -> None:
    sampler = VLLMSampler(SPEC, "model", "bfloat16", CUDA)
    sampler.load_weights(weights())
    sampler.wake(never())
    assert llm.calls == ["load w", "reset"]
    sampler.sleep()
    sampler.sleep()
    sampler.load_weights(weights())
    assert llm.calls[2:] == ["sleep 2", "wake weights", "load w", "wake kv_cache", "reset"]
    sampler.sleep()
    sampler.wake(weights())
    assert llm.calls[7:] == llm.calls[2:7]


def test_an_engine_of_its_own_never_sleeps(llm: RecordingLLM) -> None:
    sampler = VLLMSampler(replace(SPEC, alone=True), "model", "bfloat16", CUDA)
    sampler.sleep()
    assert llm.calls == []


def test_a_prefix_cache_that_is_not_reset_stops_the_run(llm: RecordingLLM) -> None:
    sampler = VLLMSampler(SPEC, "model", "bfloat16", CUDA)
    llm.resets = False
    with pytest.raises(RunFailed, match="old weights"):
        sampler.load_weights(weights())
    with pytest.raises(RunFailed, match="old weights"):
        sampler.sample([], [], 1, 1.0)
    with pytest.raises(RunFailed, match="old weights"):
        list(sampler.stream([], 1.0))


def test_what_only_cpu_needs_is_not_set_on_cuda(tmp_path: Path) -> None:
    LlamaConfig().save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    cpu = DeviceProfile("cpu", torch.float32, backend="gloo", sleeps=False, zero_stage=1)
    sharded = replace(SPEC, tensor_parallel=2)
    on_cpu = engine_arguments(sharded, str(tmp_path), "float32", cpu, 1)
    on_cuda = engine_arguments(sharded, "not read", "bfloat16", CUDA, 1)
    own = {"enable_chunked_prefill", "enforce_eager", "block_size", "kv_cache_memory_bytes"}
    assert on_cpu.keys() - on_cuda.keys() == own and on_cpu["enable_chunked_prefill"] is False
    assert on_cuda["enable_sleep_mode"] and not on_cpu["enable_sleep_mode"]
