"""The interface of reward sources, from which the answer part of a reward comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Grading, Verifier
from icpo_cli.records import Group, LogProbs, Verdict
from icpo_cli.rng import SeedKey

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SourceInput:
    """Inputs of a reward source: a round of P groups of G responses on this rank."""

    groups: Sequence[Group]
    votes: Sequence[Group]
    """The same prompts with all sampled responses (`rollout.votes`); those of `groups` come first."""
    verdicts: Sequence[Sequence[Verdict]]
    """[P][G]"""
    old: LogProbs | None
    """Old log-probs of `groups`; None unless the source's `needs_logprobs` is set."""
    verifier: Verifier
    config: RewardConfig
    seed_key: SeedKey
    """Seed and iteration, from which random draws are seeded."""
    encode: Callable[[str], list[int]]
    """Text to tokens, without special tokens."""
    logprobs: Callable[[Sequence[Group]], LogProbs]
    """A forward of the policy over other texts; all ranks must call it together."""
    process_logprobs: Callable[[Sequence[Group]], LogProbs] | None
    """A forward of the process model; None unless the source's `needs_process_model` is set."""

    @property
    def grading(self) -> Grading:
        return Grading(self.config.extract, self.config.rule)


@dataclass(frozen=True)
class ReferenceTargets:
    """Texts with the reference answer, G per prompt, to train on instead of the responses (VeriFree)."""

    groups: Sequence[Group]
    old: LogProbs
    reference: Tensor
    """[P, G, T] 1 on the reference answer's tokens: their weight is the answer's probability, not the advantage."""


@dataclass(frozen=True)
class ProcessRewards:
    """Token rewards from the process model (PRIME)."""

    old: LogProbs
    """Log-probs of the responses under the process model and its reference."""
    reward: Tensor
    """[P, G, T]"""


@dataclass(frozen=True)
class SourceOutput:
    """Result of a reward source."""

    answer: Sequence[Sequence[float]]
    """[P][G] the answer part of the reward."""
    decided: Sequence[bool]
    """[P] False for a group with an undecided response (timeout, error): its advantages are 0."""
    columns: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """{name: [P][G]} intermediate values; stored, and their means logged as credit/NAME."""
    targets: ReferenceTargets | None = None
    """None: the responses themselves are trained on."""
    process: ProcessRewards | None = None

    def select(self, indices: Sequence[int]) -> SourceOutput:
        """The groups at `indices`, for a source without reference targets and process rewards."""
        assert self.targets is None and self.process is None
        return SourceOutput(
            answer=[self.answer[index] for index in indices],
            decided=[self.decided[index] for index in indices],
            columns={name: [values[index] for index in indices] for name, values in self.columns.items()},
        )


@dataclass(frozen=True)
class RewardSource:
    """A reward source and what it needs. The registry of all sources is rewards/registry.py."""

    compute: Callable[[SourceInput], SourceOutput]
    needs_logprobs: bool = False
    """Old log-probs of all groups must be known before the rewards, or before the update's texts and token weights.
    If False, the forward of the first update also computes them."""
    needs_self_certainty: bool = False
    needs_process_model: bool = False
    needs_reference_tokens: bool = False
    """Inserts the gold answer's tokens after a response's reasoning, so they must fit into the context."""
    needs_gold: bool = True
    """If False, training data may have no gold answers."""
    uses_verdicts: bool = False
    """Rewards verdicts, so that noise on verdicts and reward.control have an effect."""
    uses_votes: bool = False
    """Reads all sampled responses of a prompt, so that rollout.votes has an effect."""
    replaces_responses: bool = False
    """Trains on other texts than the responses (`SourceOutput.targets`)."""
