"""Run `icpo train` with every response of exactly max_response_tokens: iteration_icpo.py ARGUMENTS."""

import os
import sys
from typing import Any

from icpo_cli.__main__ import main
from icpo_cli.rollout.vllm_sampler import VLLMSampler


def exact_length(self: VLLMSampler, seed: int, temperature: float, count: int = 1) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=count,
        temperature=temperature,
        max_tokens=self._spec.max_response_tokens,
        ignore_eos=True,
        seed=seed,
        logprobs=0,
        flat_logprobs=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def pin_cores() -> None:
    """Pin this rank to its share of the cores, as `icpo train --nproc` does."""
    cores, rank, count = sorted(os.sched_getaffinity(0)), int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    os.sched_setaffinity(0, cores[rank * len(cores) // count : (rank + 1) * len(cores) // count])


if __name__ == "__main__":
    if "LOCAL_RANK" in os.environ:
        pin_cores()
    VLLMSampler._parameters = exact_length  # type: ignore[method-assign]
    sys.argv = ["icpo", *sys.argv[1:]]
    main()
