"""Where the answer's part of a reward comes from: the verifier, or what the responses and the policy say themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Grading, Verifier
from icpo_cli.records import Group, Scores, Verdict
from icpo_cli.rewards.noise import coin_of, rewarded_as_correct
from icpo_cli.rng import SeedKey


@dataclass(frozen=True)
class Sampled:
    """What a source may look at."""

    groups: Sequence[Group]
    """P groups of G responses: those that are trained on."""
    votes: Sequence[Group]
    """The same with all that were sampled, the trained ones first."""
    verdicts: Sequence[Sequence[Verdict]]
    """[P][G]"""
    scores: Scores | None
    """The old policy's; None where it passes over the responses after they are rewarded."""
    verifier: Verifier
    config: RewardConfig
    seed_key: SeedKey
    """Seed and iteration: what its random draws are seeded by."""
    encode: Callable[[str], list[int]]
    """From text to tokens, nothing added."""
    score: Callable[[Sequence[Group]], Scores]
    """One more pass of the learner, over texts of one's own; every rank makes it together."""
    process_score: Callable[[Sequence[Group]], Scores] | None
    """The same of the model behind process rewards; None without one."""

    @property
    def grading(self) -> Grading:
        return Grading(self.config.extract, self.config.rule)


@dataclass(frozen=True)
class Taught:
    """Texts that are trained on in place of the responses, G a prompt."""

    groups: Sequence[Group]
    scores: Scores
    reference: Tensor
    """[P, G, T] 1 on the tokens of a reference answer: they are weighed by the answer's credit, the others by the
    response's advantage."""


@dataclass(frozen=True)
class Process:
    """Rewards of single tokens, from a second model."""

    scores: Scores
    """That model's, of the same responses."""
    reward: Tensor
    """[P, G, T]"""


@dataclass(frozen=True)
class Credit:
    """What a source gives."""

    answer: Sequence[Sequence[float]]
    """[P][G]"""
    decided: Sequence[bool]
    """[P] False for a group that holds a response nobody could judge: nothing is learned from it."""
    columns: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """{name: [P][G]} what it was made from; logged as credit/NAME, its mean over responses."""
    taught: Taught | None = None
    """None: the responses themselves."""
    process: Process | None = None

    def at(self, places: Sequence[int]) -> "Credit":
        """Of some of the groups, where the responses themselves are trained on and no token has its own reward."""
        return Credit(
            answer=[self.answer[p] for p in places],
            decided=[self.decided[p] for p in places],
            columns={name: [values[p] for p in places] for name, values in self.columns.items()},
        )


Source = Callable[[Sampled], Credit]


def from_verdicts(sampled: Sampled) -> Credit:
    """1 for a right answer, 0 for another; flipped by noise, or a coin in its stead, where that is asked for."""
    return Credit(
        answer=[
            [
                answer_of(verdict, sampled.config, sampled.seed_key.at(group.prompt.id, number))
                for number, verdict in enumerate(verdicts)
            ]
            for group, verdicts in zip(sampled.groups, sampled.verdicts, strict=True)
        ],
        decided=[all(verdict.decided for verdict in verdicts) for verdicts in sampled.verdicts],
    )


def answer_of(verdict: Verdict, config: RewardConfig, key: SeedKey) -> float:
    """1 or 0: what a verdict is worth, its chances drawn by `key`."""
    if config.control == "random":
        return float(coin_of(key))
    return float(rewarded_as_correct(verdict.correct, config.noise, key))
