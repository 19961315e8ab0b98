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
    """A sampler of groups under the last synced weights."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        count: int,
        temperature: float,
        on_finished: OnFinished | None = None,
    ) -> list[Group]:
        """Sample `count` responses per prompt, in the order of the prompts.

        Equal arguments and weights give equal tokens.
        """
        ...

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Replace all weights, given unsharded under their Hugging Face names."""
        ...

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        ...
