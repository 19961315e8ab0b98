"""One row a response: what an iteration made of it. Metrics are taken from this table, and it is stored."""

from collections.abc import Sequence

from torch import Tensor

from icpo_cli.objective.confidence import is_clamped
from icpo_cli.objective.methods import Derivation
from icpo_cli.records import AnswerKind, Group, Reward, Scores
from icpo_cli.track.parquet import Row


def response_table(
    groups: Sequence[Group], rewards: Sequence[Sequence[Reward]], scores: Scores, derivation: Derivation
) -> list[Row]:
    """The rows of this rank's responses, groups in order, responses numbered from 1."""
    clamped = is_clamped(derivation.confidence)  # [P, G]
    rows = []
    for p, group in enumerate(groups):
        for g, (response, reward) in enumerate(zip(group.responses, rewards[p], strict=True)):
            length = len(response.tokens)
            logprob = scores.logprob[p, g, :length].tolist()
            gaps = [abs(old - sampled) for old, sampled in zip(logprob, response.logprobs, strict=True)]
            rows.append(
                {
                    "prompt_id": group.prompt.id,
                    "question": group.prompt.question,
                    "gold": group.prompt.gold.answer,
                    "gold_kind": _value(group.prompt.gold.kind),
                    "gold_choices": list(group.prompt.gold.choices),
                    "response": g + 1,
                    "text": response.text,
                    "tokens": list(response.tokens),
                    "logprob": logprob,
                    "finish_reason": response.finish_reason,
                    "verdict": reward.verdict.kind.value,
                    "extracted": reward.verdict.extracted,
                    "rule": reward.verdict.rule,
                    "reason": reward.verdict.reason,
                    "reward_answer": reward.answer,
                    "reward_format": reward.format,
                    "reward_noise": reward.noise,
                    "reward_verif": reward.verif,
                    "confidence": float(derivation.confidence[p, g]),
                    "confidence_clamped": bool(clamped[p, g]),
                    "preference_score": float(derivation.preference_score[p, g]),
                    "preference_capped": bool(derivation.capped[p, g]),
                    "bonus": float(derivation.bonus[p, g]),
                    "reward_final": float(derivation.final_reward[p, g]),
                    "advantage": float(derivation.advantage[p, g]),
                    "grpo_advantage": float(derivation.grpo_advantage[p, g]),
                    "entropy_mean": _mean(scores.entropy[p, g, :length]),
                    "logprob_gap_mean": sum(gaps) / max(length, 1),
                    "logprob_gap_max": max(gaps, default=0.0),
                }
            )
    return rows


def _value(kind: AnswerKind | None) -> str | None:
    return None if kind is None else kind.value


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0
