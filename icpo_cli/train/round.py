"""A round of sampling, derived: what passes from the rollout to the update, and how rounds become one batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.distributed import Ranks
from icpo_cli.learner.rows import in_order, joined, tensors_joined
from icpo_cli.objective.advantage import likelihood_advantage, token_advantage
from icpo_cli.objective.methods import Derivation
from icpo_cli.objective.process import process_advantage
from icpo_cli.records import Batch, Group, Reward, Scores
from icpo_cli.rewards.source import Credit


@dataclass(frozen=True)
class Rewarded:
    """P groups of this rank and their rewards."""

    groups: Sequence[Group]
    rewards: Sequence[Sequence[Reward]]
    credit: Credit

    def at(self, places: Sequence[int]) -> "Rewarded":
        """Some of the groups."""
        return Rewarded([self.groups[p] for p in places], [self.rewards[p] for p in places], self.credit.at(places))


@dataclass(frozen=True)
class Round(Rewarded):
    """The same from responses to advantages."""

    scores: Scores
    derivation: Derivation
    importance: Tensor | None
    """[P, G, T] What a token's advantage is multiplied by; None where every token counts alike."""
    kept: Sequence[bool]
    """[P] Whether the group is wanted for the update."""

    @property
    def taught(self) -> Batch:
        """All of it, as an update would have it."""
        advantage, taught, process = self.derivation.advantage, self.credit.taught, self.credit.process
        if taught is None:
            by_token = token_advantage(advantage, self.scores.mask)
            if process is not None:
                by_token = by_token + process_advantage(process.reward, self.scores.mask)
            if self.importance is not None:
                by_token = by_token * self.importance
            return Batch(tuple(self.groups), self.scores, by_token.float())
        probability = torch.tensor(self.credit.answer, dtype=torch.float64)  # [P, G]
        by_token = likelihood_advantage(advantage, taught.scores.mask, taught.reference, probability)
        return Batch(tuple(taught.groups), taught.scores, by_token.float())

    @property
    def outcomes(self) -> Batch:
        """What the model behind process rewards is taught: each response's answer."""
        process, answer = self.credit.process, torch.tensor(self.credit.answer)  # [P, G]
        assert process is not None
        return Batch(tuple(self.groups), process.scores, token_advantage(answer, process.scores.mask))


def round_of(whole: Rewarded, parts: Sequence[tuple[Sequence[int], Round]]) -> Round:
    """One round of its parts, which have these places in it."""
    rounds, rows = [part for _, part in parts], in_order(places for places, _ in parts)
    kept = [kept for part in rounds for kept in part.kept]
    return Round(
        groups=whole.groups,
        rewards=whole.rewards,
        credit=whole.credit,
        scores=joined([part.scores for part in rounds], rows),
        derivation=joined([part.derivation for part in rounds], rows),
        importance=tensors_joined([part.importance for part in rounds], rows),
        kept=[kept[row] for row in rows],
    )


def missing(rounds: Sequence[Round], size: int) -> int:
    """Wanted groups that this rank still lacks."""
    return size - sum(sum(each.kept) for each in rounds)


def final_std_of(rounds: Sequence[Round], ranks: Ranks) -> float:
    """Mean over the groups of all ranks of the std (ddof 1) of their final rewards."""
    stds = torch.cat([each.derivation.final_reward.std(-1) for each in rounds])  # [P of all rounds]
    total, count = ranks.total(torch.stack([stds.sum(), torch.tensor(float(len(stds)))]))
    return float(total / count)


@dataclass(frozen=True)
class Trained:
    """What the update has of an iteration's rounds."""

    batch: Batch
    outcomes: Batch | None
    """The same groups for the model behind process rewards."""
    had: list[list[bool]]
    """By round, [P]: whether it is among them."""


def trained_of(rounds: Sequence[Round], size: int) -> Trained:
    """The update's `size` groups.

    Wanted groups come first, in the order they were sampled. Where they are too few, others make up the number, at
    advantage 0: nothing is learned from them, and every rank has as many groups as the others.
    """
    wanted = [(r, p) for r, each in enumerate(rounds) for p, kept in enumerate(each.kept) if kept][:size]
    others = [(r, p) for r, each in enumerate(rounds) for p, kept in enumerate(each.kept) if not kept]
    chosen = dict.fromkeys(wanted + others[: size - len(wanted)])
    starts = [sum(len(each.groups) for each in rounds[:r]) for r in range(len(rounds))]
    rows = [starts[r] + p for r, p in chosen]
    batch = _rows([each.taught for each in rounds], rows)
    batch.advantage[len(wanted) :] = 0
    with_process = rounds[0].credit.process is not None
    return Trained(
        batch=batch,
        outcomes=_rows([each.outcomes for each in rounds], rows) if with_process else None,
        had=[[(r, p) in chosen for p in range(len(each.groups))] for r, each in enumerate(rounds)],
    )


def _rows(batches: Sequence[Batch], rows: Sequence[int]) -> Batch:
    """Some of their groups, as wide as the longest response of all."""
    groups = [group for each in batches for group in each.groups]
    return Batch(
        groups=tuple(groups[row] for row in rows),
        scores=joined([each.scores for each in batches], rows),
        advantage=tensors_joined([each.advantage for each in batches], rows),
    )
