"""The rollout engine's interface, as training and evaluation use it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from icpo_cli.records import Group, Prompt, Response

OnFinished = Callable[[int, Group], None]
"""Called with a prompt's index and its group, as soon as the group's last response has finished."""


@dataclass(frozen=True)
class SampleRequest:
    """One response to generate."""

    tokens: tuple[int, ...]
    """Token ids of the prompt."""
    seed: int


class StreamingSampler(Protocol):
    """A sampler that yields each response when it finishes."""

    def stream(self, requests: Sequence[SampleRequest], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        """Yield, after each engine step, the finished responses with their request's index; often none.

        On CPU a response depends only on its own request, bit for bit, independent of the rest of the batch.
        """
        ...

    def close(self) -> None:
        """Release memory and processes."""
        ...


class Sampler(StreamingSampler, Protocol):
    """A sampler of groups under the last synced weights. It shares the device's memory with a learner: see `sleep`."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        count: int,
        temperature: float,
        on_finished: OnFinished | None = None,
    ) -> list[Group]:
        """Sample `count` responses per prompt, in the order of the prompts. The sampler must be awake.

        On CPU equal arguments and weights give equal tokens. On CUDA a sum's rounding depends on the batch, so a token
        may differ, unless the environment has VLLM_BATCH_INVARIANT=1, which is slower.
        """
        ...

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Replace all weights, given unsharded under their Hugging Face names. Wakes the sampler."""
        ...

    def sleep(self) -> None:
        """Free the device's memory for the learner: weights and key-value cache are dropped. No effect on CPU."""
        ...

    def wake(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Load the weights if the sampler sleeps; otherwise they are not iterated over."""
        ...

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        ...
