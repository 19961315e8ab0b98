"""The interface between the training loop and the learner."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor

from icpo_cli.records import Group, LogProbs, Update

AdvantageOf = Callable[[Sequence[int], LogProbs], Tensor]
"""(indices of groups, their old log-probs) -> the advantage of each token, [len(indices), G, T]."""


class Learner(Protocol):
    """The policy and its optimizer. All ranks call every method together."""

    def cost(self, group: Group) -> float:
        """Relative compute cost of a forward and backward over a group; ranks are balanced by it."""
        ...

    def update_flops(self, groups: Sequence[Group], old: LogProbs | None) -> float:
        """Matmul FLOPs of `update` on this rank; recomputed activations are not counted."""
        ...

    def logprobs(self, groups: Sequence[Group], with_self_certainty: bool = False) -> LogProbs:
        """Log-probs and entropy of this rank's responses under the current weights, without gradient."""
        ...

    def sampler_logprobs(self, groups: Sequence[Group]) -> LogProbs:
        """The log-probs that the sampler returned, without entropy; only the reference model runs a forward."""
        ...

    def update(
        self, groups: Sequence[Group], advantage_of: AdvantageOf, old: LogProbs | None
    ) -> tuple[LogProbs, list[Update]]:
        """One optimizer step per mini-batch, in order; returns all old log-probs, [P, G, T], and the statistics.

        old=None: the old log-probs are this policy's before the first step. The first mini-batch is then on-policy
        (ratio 1), and one forward gives both its old log-probs and its loss.
        """
        ...

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        ...

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight, unpartitioned, under its Hugging Face name."""
        ...

    def save_model(self, folder: Path) -> None:
        """Write the policy as a Hugging Face folder, without its tokenizer."""
        ...

    def save_state(self, folder: Path) -> None:
        """Write master weights and optimizer state. A resume is exact with as many ranks, and may have others."""
        ...

    def load_state(self, folder: Path) -> None:
        """Load the state that `save_state` wrote."""
        ...

    def close(self) -> None:
        """Free memory."""
        ...
