"""The rollout engine on vLLM, one a rank, in this process."""

import gc
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.data.templates import STOP
from icpo_cli.device import DeviceProfile
from icpo_cli.models.locate import Architecture, read_config
from icpo_cli.models.sizes import GIB
from icpo_cli.records import Group, Prompt, Response
from icpo_cli.rollout.sampler import Finished, Request, nobody

FEW = 8
"""Unfinished requests, below which a step might come to hold one alone."""
COMPANION = "companion"
CPU_BLOCK_TOKENS = 32
"""Of the key-value cache on CPU: prompts share whole blocks, so the least that vLLM's CPU kernels like."""


@dataclass(frozen=True)
class EngineSpec:
    """What an engine is made for."""

    context: int
    """Tokens of prompt and response together, at most."""
    max_response_tokens: int
    kv_cache_gib: float
    """CPU: the most; less where less holds all that can run at once."""
    gpu_memory_utilization: float
    max_num_seqs: int
    tensor_parallel: int = 1
    stop: tuple[str, ...] = (STOP,)
    alone: bool = False
    """Whether it has the machine to itself, and so never sleeps; else the learner works between its rollouts."""

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
    """One engine; in training it holds the policy's weights beside the learner's.

    Equal weights, prompts and seeds give equal tokens and log-probs, bit for bit, on CPU: requests carry
    their own seeds, the prefix cache is empty at every rollout, and prompts are never cut into chunks.
    """

    def __init__(self, spec: EngineSpec, model: str, dtype: str, profile: DeviceProfile, ranks: int = 1) -> None:
        _set_environment(spec)
        from vllm import LLM

        self._spec = spec
        self._on_cpu = profile.type == "cpu"
        self._sleeps = profile.sleeps and not spec.alone
        self._asleep = False
        executor = _executor(spec, ranks)
        self._llm: Any = LLM(
            model,
            dtype=dtype,
            seed=0,
            max_model_len=spec.context,
            max_num_seqs=spec.max_num_seqs,
            # A prompt in one piece: vLLM's CPU sampler cannot rewind the seed of a request that was cut.
            enable_chunked_prefill=False,
            max_num_batched_tokens=max(spec.context, 8192),
            enable_prefix_caching=True,
            # Log-probs of the distribution that was sampled from, temperature included.
            logprobs_mode="processed_logprobs",
            distributed_executor_backend=executor,
            tensor_parallel_size=spec.tensor_parallel,
            gpu_memory_utilization=spec.gpu_memory_utilization,
            enable_sleep_mode=self._sleeps,
            enforce_eager=self._on_cpu,
            trust_remote_code=False,
            load_format="safetensors",
            disable_log_stats=True,
            **(_cpu_settings(spec, model, dtype, executor) if self._on_cpu else {}),
        )

    def sample(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        count: int,
        temperature: float,
        finished: Finished = nobody,
    ) -> list[Group]:
        self._wake()
        self._llm.reset_prefix_cache()
        engine = self._llm.llm_engine
        for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            inputs = {"prompt_token_ids": list(prompt.tokens)}
            engine.add_request(str(place), inputs, self._parameters(seed, temperature, count))
        groups: dict[int, Group] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    place = int(output.request_id)
                    groups[place] = Group(prompts[place], tuple(map(_response, output.outputs)))
                    finished(place, groups[place])
        self._sleep()
        return [groups[place] for place in range(len(prompts))]

    def stream(self, requests: Sequence[Request], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        self._wake()
        self._llm.reset_prefix_cache()
        engine = self._llm.llm_engine
        for place, request in enumerate(requests):
            inputs = {"prompt_token_ids": list(request.tokens)}
            engine.add_request(str(place), inputs, self._parameters(request.seed, temperature))
        unfinished = {str(place) for place in range(len(requests))}
        companion = _Companion(engine, self._companion_parameters(temperature))
        try:
            while unfinished:
                if self._on_cpu and len(unfinished) < FEW:
                    companion.keep(requests[0].tokens[:1])
                finished = [output for output in engine.step() if output.finished]
                companion.heed(finished)
                responses = [output for output in finished if output.request_id in unfinished]
                unfinished -= {output.request_id for output in responses}
                yield [(int(output.request_id), _response(output.outputs[0])) for output in responses]
        finally:
            engine.abort_request([*unfinished, COMPANION])
        self._sleep()

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        self._wake()
        self._llm.collective_rpc(_reload, args=(iter(weights),))
        self._llm.reset_prefix_cache()

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
            stop=list(self._spec.stop),
            include_stop_str_in_output=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _companion_parameters(self, temperature: float) -> Any:
        from vllm import SamplingParams

        most = self._spec.context - 1
        return SamplingParams(
            temperature=temperature, seed=0, logprobs=0, max_tokens=most, ignore_eos=True, detokenize=False
        )

    def _wake(self) -> None:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def _sleep(self) -> None:
        """Give the device's memory to the learner; weights wait in host memory (vLLM's level 1)."""
        if self._sleeps:
            self._llm.sleep(level=1)
            self._asleep = True


class _Companion:
    """A request that is generated beside the last others and thrown away.

    A step with a single row takes other kernels on CPU, whose sums differ in their last bits; with two rows or more
    a row is the same in any company (with attention kept in one piece as well, see _set_environment).
    """

    def __init__(self, engine: Any, parameters: Any) -> None:
        self._engine = engine
        self._parameters = parameters
        self._running = False

    def keep(self, prompt: Sequence[int]) -> None:
        """See that it runs."""
        if not self._running:
            self._engine.add_request(COMPANION, {"prompt_token_ids": list(prompt)}, self._parameters)
            self._running = True

    def heed(self, finished: Sequence[Any]) -> None:
        """It comes to its own end where the others take longer."""
        if any(output.request_id == COMPANION for output in finished):
            self._running = False


def _executor(spec: EngineSpec, ranks: int) -> str:
    if ranks > 1:
        return "external_launcher"
    return "mp" if spec.tensor_parallel > 1 else "uni"


def _cpu_settings(spec: EngineSpec, model: str, dtype: str, executor: str) -> dict[str, Any]:
    a_token = Architecture.of(read_config(Path(model))).kv_cache_values_a_token * (2 if dtype == "bfloat16" else 4)
    sequence = -(-spec.context // CPU_BLOCK_TOKENS) * CPU_BLOCK_TOKENS * a_token
    # The companion, and the block that vLLM keeps for itself. What is not there need not be zeroed at every start.
    settings: dict[str, Any] = {
        "block_size": CPU_BLOCK_TOKENS,
        "kv_cache_memory_bytes": min(int(spec.kv_cache_gib * GIB), (spec.max_num_seqs + 2) * sequence),
    }
    if executor != "mp":  # whose workers are other processes
        from icpo_cli.rollout.cpu_kernels import KERNEL_CONFIG

        settings["kernel_config"] = KERNEL_CONFIG
    return settings


def _reload(worker: Any, weights: Iterator[tuple[str, Tensor]]) -> None:
    """Replace every weight of vLLM's model; runs in its worker.

    Not the model's own load_weights: on CPU linear weights are packed after loading, and it knows nothing of that.
    """
    # It warns of a layer without weights of its own, such as the tied head below; the probe tells whether all arrived.
    logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").setLevel(logging.ERROR)
    worker.reload_weights(weights_iterator=weights)
    model = worker.model_runner.get_model()
    if model.config.tie_word_embeddings:
        # On CPU the output head keeps a packed copy of the embedding, which reloading leaves as it was.
        model.lm_head.tie_weights(model.model.embed_tokens)
        model.lm_head.quant_method.process_weights_after_loading(model.lm_head)


def _response(completion: Any) -> Response:
    tokens = tuple(completion.token_ids)
    return Response(
        text=completion.text,
        tokens=tokens,
        logprobs=tuple(
            float(logprobs[token].logprob) for token, logprobs in zip(tokens, completion.logprobs, strict=True)
        ),
        finish_reason="length" if completion.finish_reason == "length" else "stop",
    )


def _set_environment(spec: EngineSpec) -> None:
    """vLLM reads these when it is first imported; what the user has set stands."""
    values = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # Threads belong to the whole process, whose learner uses them too.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }
    if spec.alone:
        # Attention over a sequence in one piece: how it is cut up otherwise depends on the whole batch.
        values["VLLM_CPU_ATTN_SPLIT_KV"] = "0"
    for name, value in values.items():
        os.environ.setdefault(name, value)
