"""What training and evaluation ask of a rollout engine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from icpo_cli.records import Group, Prompt, Response


@dataclass(frozen=True)
class Request:
    """One response that is wanted."""

    tokens: tuple[int, ...]
    """The prompt's."""
    seed: int


Finished = Callable[[int, Group], None]
"""Told of a group and of its prompt's place."""


def nobody(place: int, group: Group) -> None:
    """Waits for a single group."""


class StreamingSampler(Protocol):
    """Gives each response as it finishes."""

    def stream(self, requests: Sequence[Request], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        """What each step of the engine finished, by the request's place; often nothing.

        On CPU a response depends on its own request alone, bit for bit, whatever is generated beside it.
        """
        ...

    def close(self) -> None:
        """Give back memory and processes."""
        ...


class Sampler(StreamingSampler, Protocol):
    """Samples groups under the weights last handed over."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        count: int,
        temperature: float,
        finished: Finished = nobody,
    ) -> list[Group]:
        """`count` responses a prompt, in the prompts' order; equal arguments and weights give equal tokens.

        `finished` hears of each group as soon as it is there.
        """
        ...

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take new weights, whole and under their Hugging Face names."""
        ...

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        ...
