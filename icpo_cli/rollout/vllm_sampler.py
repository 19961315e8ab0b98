"""The rollout engine on vLLM, one a rank, in this process. The one file that imports vllm."""

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.data.templates import STOP
from icpo_cli.device import DeviceProfile
from icpo_cli.records import Group, Prompt, Response


class VLLMSampler:
    """One engine holding the policy's weights beside the learner's.

    Equal weights, prompts and seeds give equal tokens and log-probs, bit for bit, on CPU: requests carry
    their own seeds, the prefix cache is empty at every rollout, and prompts are never cut into chunks.
    """

    def __init__(self, config: Config, model: str, profile: DeviceProfile, ranks: int) -> None:
        _set_environment(config)
        from vllm import LLM

        rollout = config.rollout
        context = rollout.max_prompt_tokens + rollout.max_response_tokens
        self._max_response_tokens = rollout.max_response_tokens
        self._sleeps = profile.sleeps
        self._asleep = False
        self._llm: Any = LLM(
            model,
            dtype=config.model.dtype,
            seed=0,
            max_model_len=context,
            max_num_seqs=rollout.engine.max_num_seqs,
            # A prompt in one piece: vLLM's CPU sampler cannot rewind the seed of a request that was cut.
            enable_chunked_prefill=False,
            max_num_batched_tokens=max(context, 8192),
            enable_prefix_caching=True,
            # Log-probs of the distribution that was sampled from, temperature included.
            logprobs_mode="processed_logprobs",
            distributed_executor_backend="uni" if ranks == 1 else "external_launcher",
            gpu_memory_utilization=rollout.engine.gpu_memory_utilization,
            enable_sleep_mode=profile.sleeps,
            enforce_eager=profile.type == "cpu",
            trust_remote_code=False,
            load_format="safetensors",
            disable_log_stats=True,
        )

    def sample(self, prompts: Sequence[Prompt], seeds: Sequence[int], count: int, temperature: float) -> list[Group]:
        from vllm import SamplingParams

        self._wake()
        self._llm.reset_prefix_cache()
        parameters = [
            SamplingParams(
                n=count,
                temperature=temperature,
                max_tokens=self._max_response_tokens,
                seed=seed,
                logprobs=0,
                stop=[STOP],
                include_stop_str_in_output=True,
            )
            for seed in seeds
        ]
        inputs = [{"prompt_token_ids": list(prompt.tokens)} for prompt in prompts]
        outputs = self._llm.generate(inputs, parameters, use_tqdm=False)
        self._sleep()
        return [
            Group(prompt, tuple(_response(completion) for completion in output.outputs))
            for prompt, output in zip(prompts, outputs, strict=True)
        ]

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

    def _wake(self) -> None:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def _sleep(self) -> None:
        """Give the device's memory to the learner; weights wait in host memory (vLLM's level 1)."""
        if self._sleeps:
            self._llm.sleep(level=1)
            self._asleep = True

    def close(self) -> None:
        del self._llm
        gc.collect()


def _reload(worker: Any, weights: Iterator[tuple[str, Tensor]]) -> None:
    """Replace every weight of vLLM's model; runs in its worker.

    Not the model's own load_weights: on CPU linear weights are packed after loading, and it knows nothing of that.
    """
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


def _set_environment(config: Config) -> None:
    """vLLM reads these when it is first imported; what the user has set stands."""
    for name, value in {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(config.rollout.engine.kv_cache_gib),
        # Threads belong to the whole process, whose learner uses them too.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)
