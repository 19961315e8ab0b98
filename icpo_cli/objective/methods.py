"""From confidences and rewards of a group to its advantages: the composition that a method is."""

from dataclasses import dataclass

from torch import Tensor

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.advantage import group_advantage
from icpo_cli.objective.preference import preference_score
from icpo_cli.objective.shaping import cap, preference_bonus


@dataclass(frozen=True)
class Derivation:
    """Every quantity between confidence and advantage, each [..., G]."""

    confidence: Tensor
    reward: Tensor  # R_verif
    preference_score: Tensor  # S, Eq. 9
    capped: Tensor  # bool: S was above |R| / tau
    bonus: Tensor  # omega * min(S, |R| / tau)
    final_reward: Tensor  # Eq. 11
    advantage: Tensor  # of final_reward, Eq. 5
    grpo_advantage: Tensor  # of reward alone, Eq. 3


def derive(confidence: Tensor, reward: Tensor, omega: float, method: MethodConfig) -> Derivation:
    """Eq. 9, 11 and 5 in order. [..., G], [..., G] -> Derivation

    A method without the bonus adds nothing to the reward; its score is computed all the same, to be looked at.
    """
    score = preference_score(confidence, method.delta)
    bonus = preference_bonus(reward, score, omega if method.bonus == "preference" else 0.0, method.tau)
    final_reward = reward + bonus
    std, eps = method.advantage.std, method.advantage.eps
    return Derivation(
        confidence=confidence,
        reward=reward,
        preference_score=score,
        capped=score > cap(reward, method.tau),
        bonus=bonus,
        final_reward=final_reward,
        advantage=group_advantage(final_reward, std, eps),
        grpo_advantage=group_advantage(reward, std, eps),
    )
