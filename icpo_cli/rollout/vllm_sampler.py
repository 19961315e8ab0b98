"""The vLLM rollout engine: one per rank, in the rank's own process."""

import gc
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import STOP
from icpo_cli.device import DeviceProfile
from icpo_cli.errors import RunFailed
from icpo_cli.models.locate import read_config
from icpo_cli.models.sizes import GIB, Architecture
from icpo_cli.records import Group, Prompt, Response
from icpo_cli.rollout.sampler import OnFinished, SampleRequest

PAD_BELOW = 8
"""Number of unfinished requests below which the next engine steps may have a single row."""
PADDING = "padding"
"""Request id of the batch padding."""
CPU_BLOCK_TOKENS = 32
"""Block size of the key-value cache on CPU, the smallest that vLLM's CPU kernels take: prompts share full blocks."""


@dataclass(frozen=True)
class EngineSpec:
    """Sizes and limits an engine is built with."""

    context: int
    """Maximum tokens of prompt and response together."""
    max_response_tokens: int
    kv_cache_gib: float
    """CPU: upper bound; less is allocated if max_num_seqs sequences need less."""
    gpu_memory_utilization: float
    max_num_seqs: int
    tensor_parallel: int = 1
    stop: tuple[str, ...] = (STOP,)
    alone: bool = False
    """The engine has the machine to itself and never sleeps; otherwise it shares the device with a learner."""

    @classmethod
    def of_rollout(cls, config: Config) -> "EngineSpec":
        rollout = config.rollout
        return cls(
            context=rollout.max_prompt_tokens + rollout.max_response_tokens,
            max_response_tokens=rollout.max_response_tokens,
            kv_cache_gib=rollout.engine.kv_cache_gib,
            gpu_memory_utilization=rollout.engine.gpu_memory_utilization,
            max_num_seqs=rollout.engine.max_num_seqs,
        )


class VLLMSampler:
    """A Sampler on one vLLM engine; in training it has its own copy of the policy's weights.

    On CPU equal weights, prompts and seeds give equal tokens and log-probs, bit for bit: each request carries its own
    seed, the prefix cache is reset before every rollout, and chunked prefill is off.
    """

    def __init__(self, spec: EngineSpec, model: str, dtype: str, profile: DeviceProfile, ranks: int = 1) -> None:
        _set_environment(spec)
        from vllm import LLM

        self._spec = spec
        self._on_cpu = profile.type == "cpu"
        self._sleeps = profile.sleeps and not spec.alone
        self._asleep = False
        self._llm: Any = LLM(**engine_arguments(spec, model, dtype, profile, ranks))

    def sample(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        count: int,
        temperature: float,
        on_finished: OnFinished | None = None,
    ) -> list[Group]:
        self._reset_prefix_cache()
        engine = self._llm.llm_engine
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            inputs = {"prompt_token_ids": list(prompt.tokens)}
            engine.add_request(str(index), inputs, self._parameters(seed, temperature, count))
        groups: dict[int, Group] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    index = int(output.request_id)
                    groups[index] = Group(prompts[index], tuple(map(_response, output.outputs)))
                    if on_finished:
                        on_finished(index, groups[index])
        return [groups[index] for index in range(len(prompts))]

    def stream(self, requests: Sequence[SampleRequest], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        self._reset_prefix_cache()
        engine = self._llm.llm_engine
        for index, request in enumerate(requests):
            inputs = {"prompt_token_ids": list(request.tokens)}
            engine.add_request(str(index), inputs, self._parameters(request.seed, temperature))
        unfinished = {str(index) for index in range(len(requests))}
        padding = BatchPadding(engine, self._padding_parameters(temperature))
        try:
            while unfinished:
                if self._on_cpu and len(unfinished) < PAD_BELOW:
                    padding.ensure_running(requests[0].tokens[:1])
                finished = [output for output in engine.step() if output.finished]
                padding.on_finished(finished)
                responses = [output for output in finished if output.request_id in unfinished]
                unfinished -= {output.request_id for output in responses}
                yield [(int(output.request_id), _response(output.outputs[0])) for output in responses]
        finally:
            engine.abort_request([*unfinished, PADDING])

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        if self._asleep:
            self._llm.wake_up(["weights"])
        self._llm.collective_rpc(_reload, args=(iter(weights),))
        if self._asleep:  # only now, so that the buffers of the sync and the key-value cache never coexist
            self._llm.wake_up(["kv_cache"])
            self._asleep = False
        self._reset_prefix_cache()

    def sleep(self) -> None:
        if self._sleeps and not self._asleep:
            # Level 2 drops the weights; level 1 would copy them to host memory, only for the next sync to overwrite.
            self._llm.sleep(level=2)
            self._asleep = True

    def wake(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        if self._asleep:
            self.load_weights(weights)

    def probe(self, tokens: Sequence[int]) -> list[float]:
        from vllm import SamplingParams

        parameters = SamplingParams(max_tokens=1, temperature=1.0, seed=0, logprobs=0, prompt_logprobs=0)
        output = self._llm.generate([{"prompt_token_ids": list(tokens)}], parameters, use_tqdm=False)[0]
        given = zip(tokens[1:], output.prompt_logprobs[1:], strict=True)
        return [float(logprobs[token].logprob) for token, logprobs in given]

    def close(self) -> None:
        del self._llm
        gc.collect()

    def _parameters(self, seed: int, temperature: float, count: int = 1) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            n=count,
            temperature=temperature,
            max_tokens=self._spec.max_response_tokens,
            seed=seed,
            logprobs=0,
            flat_logprobs=True,
            stop=list(self._spec.stop),
            include_stop_str_in_output=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _padding_parameters(self, temperature: float) -> Any:
        from vllm import SamplingParams

        max_tokens = self._spec.context - 1
        return SamplingParams(
            temperature=temperature, seed=0, logprobs=0, max_tokens=max_tokens, ignore_eos=True, detokenize=False
        )

    def _reset_prefix_cache(self) -> None:
        """Forget keys and values that earlier weights computed."""
        if not self._llm.reset_prefix_cache():
            raise RunFailed("vLLM did not reset its prefix cache: responses would use keys and values of old weights")


class BatchPadding:
    """A request whose output is discarded: it keeps the last requests from running in a batch of one row.

    On CPU a step with a single row uses other kernels, whose sums differ in their last bits. In a batch of two rows
    or more a row's result does not depend on the others (with attention unsplit, see _set_environment).
    """

    def __init__(self, engine: Any, parameters: Any) -> None:
        self._engine = engine
        self._parameters = parameters
        self._running = False

    def ensure_running(self, prompt: Sequence[int]) -> None:
        """Submit the request unless it is running."""
        if not self._running:
            self._engine.add_request(PADDING, {"prompt_token_ids": list(prompt)}, self._parameters)
            self._running = True

    def on_finished(self, outputs: Sequence[Any]) -> None:
        """Note whether the padding is among the finished requests: it must then be submitted again."""
        if any(output.request_id == PADDING for output in outputs):
            self._running = False


def _executor(spec: EngineSpec, ranks: int) -> str:
    if ranks > 1:
        return "external_launcher"
    return "mp" if spec.tensor_parallel > 1 else "uni"


def engine_arguments(spec: EngineSpec, model: str, dtype: str, profile: DeviceProfile, ranks: int) -> dict[str, Any]:
    """Arguments of vLLM's LLM."""
    executor = _executor(spec, ranks)
    arguments = {
        "model": model,
        "dtype": dtype,
        "seed": 0,
        "max_model_len": spec.context,
        "max_num_seqs": spec.max_num_seqs,
        "max_num_batched_tokens": max(spec.context, 8192),
        "enable_prefix_caching": True,
        # Log-probs of the sampling distribution, after temperature.
        "logprobs_mode": "processed_logprobs",
        "distributed_executor_backend": executor,
        "tensor_parallel_size": spec.tensor_parallel,
        "gpu_memory_utilization": spec.gpu_memory_utilization,
        "enable_sleep_mode": profile.sleeps and not spec.alone,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "disable_log_stats": True,
    }
    return arguments | (_cpu_arguments(spec, model, dtype, executor) if profile.type == "cpu" else {})


def _cpu_arguments(spec: EngineSpec, model: str, dtype: str, executor: str) -> dict[str, Any]:
    token_bytes = Architecture.of(read_config(Path(model))).kv_cache_values_a_token * (2 if dtype == "bfloat16" else 4)
    sequence_bytes = -(-spec.context // CPU_BLOCK_TOKENS) * CPU_BLOCK_TOKENS * token_bytes
    # Two more sequences: the batch padding, and the block that vLLM reserves. A smaller cache starts faster, because
    # vLLM zeroes it.
    arguments: dict[str, Any] = {
        "enforce_eager": True,
        # vLLM's CPU sampler cannot rewind the seed of a request whose prefill was chunked.
        "enable_chunked_prefill": False,
        "block_size": CPU_BLOCK_TOKENS,
        "kv_cache_memory_bytes": min(int(spec.kv_cache_gib * GIB), (spec.max_num_seqs + 2) * sequence_bytes),
    }
    if executor != "mp":  # its workers are other processes, where the kernels are not registered
        from icpo_cli.rollout.cpu_kernels import KERNEL_CONFIG

        arguments["kernel_config"] = KERNEL_CONFIG
    return arguments


def _reload(worker: Any, weights: Iterator[tuple[str, Tensor]]) -> None:
    """Replace every weight of vLLM's model; runs in vLLM's worker.

    model.load_weights does not work here: on CPU linear weights are packed after loading, which it does not repeat.
    """
    # It warns about a layer without own weights, such as the tied LM head below; the probe checks that all arrived.
    logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").setLevel(logging.ERROR)
    worker.reload_weights(weights_iterator=weights)
    model = worker.model_runner.get_model()
    if worker.device.type == "cpu" and model.config.tie_word_embeddings and hasattr(model, "lm_head"):
        # On CPU a tied LM head keeps a packed copy of the embedding, which reloading does not update. Gemma 2 has none:
        # its logits use the embedding layer itself.
        model.lm_head.tie_weights(model.model.embed_tokens)
        model.lm_head.quant_method.process_weights_after_loading(model.lm_head)


def _response(completion: Any) -> Response:
    return Response(
        text=completion.text,
        tokens=tuple(completion.token_ids),
        logprobs=tuple(completion.logprobs.logprobs),  # flat, and of the sampled tokens alone
        finish_reason="length" if completion.finish_reason == "length" else "stop",
    )


def _set_environment(spec: EngineSpec) -> None:
    """Set the variables that vLLM reads at its first import; values set by the user are kept."""
    values = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # The learner in the same process uses the OpenMP threads too.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }
    if spec.alone:
        # Attention unsplit over the keys: the default split depends on the rest of the batch.
        values["VLLM_CPU_ATTN_SPLIT_KV"] = "0"
    for name, value in values.items():
        os.environ.setdefault(name, value)
