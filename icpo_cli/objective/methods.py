"""A method as a composition: from confidences and rewards of a group to its advantages."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.config.schema import AdvantageConfig, MethodConfig
from icpo_cli.objective.advantage import batch_advantage, group_advantage, leave_one_out_advantage
from icpo_cli.objective.preference import cap, capped_bonus, perplexity_score, preference_score

SCORES: dict[str, Callable[[Tensor, MethodConfig], Tensor]] = {
    "preference": lambda confidence, method: preference_score(confidence, method.delta),
    "perplexity": lambda confidence, method: perplexity_score(confidence, method.alpha),
}
"""{method.bonus: score}, from [..., G] confidences to [..., G] scores."""


@dataclass(frozen=True)
class Derivation:
    """Every quantity between confidence and advantage, each [..., G]."""

    confidence: Tensor
    reward: Tensor  # R_verif
    preference_score: Tensor  # S, Eq. 9
    capped: Tensor  # bool: the score was above |R| / tau
    bonus: Tensor  # omega * min(score, |R| / tau)
    final_reward: Tensor  # Eq. 11
    advantage: Tensor  # from final_reward, Eq. 5
    grpo_advantage: Tensor  # from reward alone, Eq. 3; also for undecided groups


def derive(
    confidence: Tensor,
    reward: Tensor,
    omega: float,
    method: MethodConfig,
    decided: Tensor | None = None,
    gather: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> Derivation:
    """Eq. 9, 11 and 5 in order. [..., G], [..., G] -> Derivation

    Without a bonus nothing is added to the reward; the preference score is still computed, as a metric.
    `decided`: bool [...], False for a group with an undecided response: its group mean is unknown, so its advantages
    are 0. `gather`: concatenates this rank's (final rewards, rewards), [2, N], with those of all ranks.
    """
    preference = preference_score(confidence, method.delta)
    score = preference if method.bonus == "none" else SCORES[method.bonus](confidence, method)
    bonus = capped_bonus(reward, score, 0.0 if method.bonus == "none" else omega, method.tau)
    final_reward = reward + bonus
    counted = torch.ones(reward.shape[:-1], dtype=torch.bool) if decided is None else decided
    settings = method.advantage
    if settings.baseline == "batch":
        batch = gather(torch.stack([final_reward, reward])[:, counted].flatten(1))  # [2, N]
        advantage = batch_advantage(final_reward, batch[0], settings.std, settings.eps)
        grpo_advantage = batch_advantage(reward, batch[1], settings.std, settings.eps)
    else:
        advantage, grpo_advantage = (_over_group(values, settings) for values in (final_reward, reward))
    return Derivation(
        confidence=confidence,
        reward=reward,
        preference_score=preference,
        capped=score > cap(reward, method.tau),
        bonus=bonus,
        final_reward=final_reward,
        advantage=torch.where(counted[..., None], advantage, 0.0),
        grpo_advantage=grpo_advantage,
    )


def _over_group(reward: Tensor, settings: AdvantageConfig) -> Tensor:
    if settings.baseline == "leave_one_out":
        return leave_one_out_advantage(reward)
    return group_advantage(reward, settings.std, settings.eps)
