"""What the loop asks of a learner."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from icpo_cli.records import Batch, Group, Scores, Update


@dataclass(frozen=True)
class Pass:
    """A micro-batch of the first update, which is on-policy: one forward gives old log-probs and the loss."""

    places: Sequence[int]
    """Which of the groups it has."""
    scores: Scores
    learn: Callable[[Tensor], None]
    """The pass goes backward, tokens weighed by advantages [P, G, T]; before the next one is drawn."""


class Learner(Protocol):
    """Holds the policy and its optimiser. Every method is called by all ranks together."""

    def cost(self, group: Group) -> float:
        """Of computing on it, beside other groups: what ranks are balanced by."""
        ...

    def score(self, groups: Sequence[Group], with_self_certainty: bool = False) -> Scores:
        """Log-probs and entropy of this rank's responses under the current weights."""
        ...

    def passes(self, groups: Sequence[Group]) -> Iterator[Pass]:
        """The same of all groups of an update, each pass to be learned from: the next `update` begins with them."""
        ...

    def scores_of_sampler(self, groups: Sequence[Group]) -> Scores:
        """The same with the sampler's own log-probs, which cost nothing, and without entropy."""
        ...

    def update(self, batch: Batch) -> list[Update]:
        """One optimiser step a mini-batch, in order; of one whose `passes` were learned from nothing but the step."""
        ...

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        ...

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight, whole, under its Hugging Face name."""
        ...

    def save_model(self, folder: Path) -> None:
        """The policy as a Hugging Face folder, without its tokenizer."""
        ...

    def save_state(self, folder: Path) -> None:
        """All that an exact resume by as many ranks needs."""
        ...

    def load_state(self, folder: Path) -> None:
        """The state that `save_state` wrote."""
        ...

    def close(self) -> None:
        """Give back memory."""
        ...
