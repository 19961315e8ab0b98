"""A round of sampling, derived: what passes from the rollout to the update, and how rounds become one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from icpo_cli.learner.ranks import Ranks
from icpo_cli.objective.methods import Derivation
from icpo_cli.records import Batch, Group, Reward, Scores
from icpo_cli.rewards.source import Credit


@dataclass(frozen=True)
class Round:
    """P groups of this rank, from responses to advantages."""

    groups: Sequence[Group]
    rewards: Sequence[Sequence[Reward]]
    credit: Credit
    scores: Scores
    derivation: Derivation
    kept: Sequence[bool]
    """[P] Whether the group is wanted for the update."""


def final_std_of(rounds: Sequence[Round], ranks: Ranks) -> float:
    """Mean over the groups of all ranks of the std (ddof 1) of their final rewards."""
    stds = torch.cat([each.derivation.final_reward.std(-1) for each in rounds])  # [P of all rounds]
    total, count = ranks.total(torch.stack([stds.sum(), torch.tensor(float(len(stds)))]))
    return float(total / count)


def batch_of(rounds: Sequence[Round], size: int) -> tuple[Batch, list[list[bool]]]:
    """The update's `size` groups, and by round which of its groups they are.

    Wanted groups come first, in the order they were sampled. Where they are too few, others make up the number, at
    advantage 0: nothing is learned from them, and every rank has as many groups as the others.
    """
    places = [(r, p) for r, each in enumerate(rounds) for p in range(len(each.groups))]
    wanted = [(r, p) for r, p in places if rounds[r].kept[p]][:size]
    others = [(r, p) for r, p in places if not rounds[r].kept[p]][: size - len(wanted)]
    chosen = dict.fromkeys(wanted + others)
    trained = [[(r, p) in chosen for p in range(len(each.groups))] for r, each in enumerate(rounds)]
    starts = [sum(len(each.groups) for each in rounds[:r]) for r in range(len(rounds))]
    rows = torch.tensor([starts[r] + p for r, p in chosen])
    advantage = torch.cat([each.derivation.advantage for each in rounds])[rows]  # [size, G]
    advantage[len(wanted) :] = 0
    groups = tuple(rounds[r].groups[p] for r, p in chosen)
    return Batch(groups, _chosen([each.scores for each in rounds], rows), advantage.float()), trained


def _chosen(scores: Sequence[Scores], rows: Tensor) -> Scores:
    """Rows of several scores, as wide as the longest response of all."""
    longest = max(each.mask.shape[-1] for each in scores)

    def joined(name: str) -> Any:
        parts = [getattr(each, name) for each in scores]
        if parts[0] is None:  # of all rounds alike
            return None
        return torch.cat([pad(part, (0, longest - part.shape[-1])) for part in parts])[rows]

    return Scores(**{each.name: joined(each.name) for each in fields(Scores)})
