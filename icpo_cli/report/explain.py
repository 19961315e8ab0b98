"""From a stored group's log-probs and rewards to its advantages, anew, and whether that is what was logged."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.objective.confidence import CONFIDENCE
from icpo_cli.objective.methods import Derivation, derive
from icpo_cli.objective.omega import omega_at
from icpo_cli.report.stored_group import StoredGroup

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Explained:
    """A group's derivation, and what of it was logged otherwise."""

    group: StoredGroup
    omega: float
    derivation: Derivation
    undecided: bool
    """The group holds a response that nobody could judge, so its advantages are 0."""
    largest_difference: Mapping[str, float]
    """Between what is derived here and what was logged, by column."""

    @property
    def unequal(self) -> list[str]:
        """The columns that were logged otherwise."""
        return [name for name, gap in self.largest_difference.items() if not gap <= TOLERANCE]


def explain(group: StoredGroup) -> Explained:
    """By the run's own configuration."""
    method, rows = group.config.method, group.rows
    logprob, mask = _padded([row["logprob"] for row in rows])
    confidence = CONFIDENCE[method.confidence](logprob, mask)  # [G]
    reward = torch.tensor([_reward(group, row) for row in rows], dtype=torch.float64)  # [G]
    omega = omega_at(group.iteration, method, group.config.train.iterations)
    undecided = not rows[0]["decided"]
    batch = torch.tensor(group.batch, dtype=torch.float64)  # [2, N]
    derivation = derive(confidence, reward, omega, method, torch.tensor(not undecided), lambda _: batch)
    derived = {
        "reward_verif": derivation.reward,
        "confidence": derivation.confidence,
        "preference_score": derivation.preference_score,
        "bonus": derivation.bonus,
        "reward_final": derivation.final_reward,
        "advantage": derivation.advantage,
        "grpo_advantage": derivation.grpo_advantage,
    }
    gaps = {
        name: _gap(values, torch.tensor([row[name] for row in rows], dtype=torch.float64))
        for name, values in derived.items()
    }
    return Explained(group, omega, derivation, undecided, gaps)


def _reward(group: StoredGroup, row: Mapping[str, float]) -> float:
    """R_verif from its parts (Eq. 10)."""
    weights = group.config.reward
    return (
        weights.answer_weight * row["reward_answer"]
        + weights.format_weight * row["reward_format"]
        + row["reward_noise"]
        + row["reward_overlong"]
    )


def _padded(logprobs: list[list[float]]) -> tuple[Tensor, Tensor]:
    """[G][T_g] -> [G, T], and the mask that is 1 on tokens."""
    longest = max(map(len, logprobs))
    logprob, mask = torch.zeros(2, len(logprobs), max(longest, 1), dtype=torch.float64)  # [G, T] each
    for g, values in enumerate(logprobs):
        logprob[g, : len(values)] = torch.tensor(values, dtype=torch.float64)
        mask[g, : len(values)] = 1
    return logprob, mask


def _gap(derived: Tensor, logged: Tensor) -> float:
    """Equal infinities are equal; a NaN is a gap without end."""
    gap = torch.where(derived == logged, 0.0, (derived - logged).abs())
    return float(gap.nan_to_num(nan=float("inf")).max())
