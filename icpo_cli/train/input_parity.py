"""Hashes of a run's inputs, which must be equal across the arms of a study that differ only in what it compares."""

from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import PromptSet, fingerprint, iteration_prompts
from icpo_cli.records import Prompt
from icpo_cli.rewards.reward import draws_of
from icpo_cli.rng import SeedKey, sampling_seeds, sha256

RESPONSES_HASHED = 100_000
"""Most responses whose noise draws are hashed; this takes about a second."""


def input_parity(config: Config, prompts: PromptSet) -> dict[str, str]:
    """sha256 of each input and random draw, over all planned iterations of the run.

    All are functions of the seed and the prompts, computed by the functions that the loop uses.

    - prompts: ids and tokens, in the order of the source
    - order: ids of the prompts, iteration by iteration
    - sampling_seeds: of the prompts of each iteration
    - noise_draws: uniform numbers for the noise, flips and coins of every response, before the settings scale them
    - noise_iterations (text, no hash): the iterations of noise_draws; some if all exceed RESPONSES_HASHED
    - heldout: ids, questions, gold answers and tokens
    """
    batches = list(_batches(config, prompts.train))
    some = noise_iterations(config)
    return {
        "prompts": sha256(_prompt_bytes(prompt) for prompt in prompts.train),
        "order": sha256(repr([prompt.id for prompt in batch]).encode() for batch in batches),
        "sampling_seeds": sha256(
            np.array(sampling_seeds(config.seed, iteration, len(batch))).tobytes()
            for iteration, batch in enumerate(batches, 1)
        ),
        "noise_draws": sha256(_noise_bytes(config, iteration, batches[iteration - 1]) for iteration in some),
        "noise_iterations": f"{len(some)} of {len(batches)}, evenly spread from {some[0]} to {some[-1]}",
        "heldout": fingerprint(prompts.heldout),
    }


def noise_iterations(config: Config) -> list[int]:
    """Iterations whose noise draws are hashed: all, or as many as RESPONSES_HASHED allows, evenly spread."""
    responses = config.rollout.prompts_per_iteration * config.rollout.group_size
    count = min(config.train.iterations, max(1, RESPONSES_HASHED // responses))
    return [int(iteration) for iteration in np.linspace(1, config.train.iterations, count).round()]


def _batches(config: Config, prompts: Sequence[Prompt]) -> Iterator[list[Prompt]]:
    """The prompts of each iteration, from one draw for the complete run: the order does not depend on iterations."""
    count = config.rollout.prompts_per_iteration
    order = iteration_prompts(prompts, config.seed, 1, config.train.iterations * count)
    return (order[start : start + count] for start in range(0, len(order), count))


def _prompt_bytes(prompt: Prompt) -> bytes:
    return repr((prompt.id, len(prompt.tokens))).encode() + array("q", prompt.tokens).tobytes()


def _noise_bytes(config: Config, iteration: int, batch: Sequence[Prompt]) -> bytes:
    numbers = range(config.rollout.group_size)
    draws = [draws_of(SeedKey(config.seed, iteration, prompt.id, number)) for prompt in batch for number in numbers]
    return np.array(draws).tobytes()
