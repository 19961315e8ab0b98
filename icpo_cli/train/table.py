"""One row a response: what an iteration made of it. Metrics are taken from this table, and it is stored."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from icpo_cli.objective.confidence import is_clamped
from icpo_cli.objective.methods import Derivation
from icpo_cli.records import AnswerKind
from icpo_cli.runs.parquet import Row
from icpo_cli.train.round import Round

CREDIT = "credit_"
"""Begins the names of columns that a reward's source was made from."""


def response_table(rounds: Sequence[Round], trained: Sequence[Sequence[bool]]) -> list[Row]:
    """The rows of this rank's responses, groups in the order they were sampled, responses numbered from 1.

    `trained`: by round, which of its groups the update had.
    """
    return [row for each, had in zip(rounds, trained, strict=True) for row in _round_rows(each, had)]


def _round_rows(sampled: Round, trained: Sequence[bool]) -> Iterator[Row]:
    clamped = is_clamped(sampled.derivation.confidence)  # [P, G]
    for p, group in enumerate(sampled.groups):
        of_group = {
            "prompt_id": group.prompt.id,
            "question": group.prompt.question,
            "gold": group.prompt.gold.answer,
            "gold_kind": _value(group.prompt.gold.kind),
            "gold_choices": list(group.prompt.gold.choices),
            "decided": sampled.credit.decided[p],
            "trained": trained[p],
        }
        for g in range(len(group.responses)):
            derived = _derived(sampled.derivation, clamped, p, g)
            yield of_group | _response(sampled, p, g) | _reward(sampled, p, g) | derived


def _response(sampled: Round, p: int, g: int) -> Row:
    """What was written, and how sure learner and sampler were of it."""
    response, scores = sampled.groups[p].responses[g], sampled.scores
    length = len(response.tokens)
    logprob = scores.logprob[p, g, :length].tolist()
    gaps = [abs(old - sampled) for old, sampled in zip(logprob, response.logprobs, strict=True)]
    by_learner = scores.entropy is not None
    return {
        "response": g + 1,
        "text": response.text,
        "tokens": list(response.tokens),
        "logprob": logprob,
        "finish_reason": response.finish_reason,
        "entropy_mean": _mean(scores.entropy[p, g, :length]) if scores.entropy is not None else None,
        "logprob_gap_mean": sum(gaps) / max(length, 1) if by_learner else None,
        "logprob_gap_max": max(gaps, default=0.0) if by_learner else None,
    }


def _reward(sampled: Round, p: int, g: int) -> Row:
    reward = sampled.rewards[p][g]
    return {
        "verdict": reward.verdict.kind.value,
        "extracted": reward.verdict.extracted,
        "rule": reward.verdict.rule,
        "reason": reward.verdict.reason,
        "reward_answer": reward.answer,
        "reward_format": reward.format,
        "reward_noise": reward.noise,
        "reward_overlong": reward.overlong,
        "reward_verif": reward.verif,
    } | {f"{CREDIT}{name}": values[p][g] for name, values in sampled.credit.columns.items()}


def _derived(derivation: Derivation, clamped: Tensor, p: int, g: int) -> Row:
    return {
        "confidence": float(derivation.confidence[p, g]),
        "confidence_clamped": bool(clamped[p, g]),
        "preference_score": float(derivation.preference_score[p, g]),
        "preference_capped": bool(derivation.capped[p, g]),
        "bonus": float(derivation.bonus[p, g]),
        "reward_final": float(derivation.final_reward[p, g]),
        "advantage": float(derivation.advantage[p, g]),
        "grpo_advantage": float(derivation.grpo_advantage[p, g]),
    }


def _value(kind: AnswerKind | None) -> str | None:
    return None if kind is None else kind.value


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0
