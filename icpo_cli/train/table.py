"""One row per response with every quantity an iteration derived for it. Metrics come from this table; it is stored."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from icpo_cli.objective.confidence import is_clamped
from icpo_cli.objective.methods import Derivation
from icpo_cli.records import AnswerKind, LogProbs, Response, verdict_columns
from icpo_cli.runs.parquet import Row
from icpo_cli.train.round import Round

CREDIT = "credit_"
"""Prefix of the columns with a reward source's intermediate values."""


def response_table(rounds: Sequence[Round], selected: Sequence[int]) -> list[Row]:
    """This rank's responses, groups in the order they were sampled, responses numbered from 1.

    `selected`: the groups that were trained on, as indices into the groups of all rounds.
    """
    trained, start, rows = set(selected), 0, list[Row]()
    for each in rounds:
        rows += _round_rows(each, [start + p in trained for p in range(len(each.groups))])
        start += len(each.groups)
    return rows


def _round_rows(sampled: Round, trained: Sequence[bool]) -> Iterator[Row]:
    old, derivation = sampled.old, sampled.derivation
    assert old is not None and derivation is not None
    clamped = is_clamped(derivation.confidence)  # [P, G]
    for p, group in enumerate(sampled.groups):
        of_group = {
            "prompt_id": group.prompt.id,
            "question": group.prompt.question,
            "gold": group.prompt.gold.answer,
            "gold_kind": _value(group.prompt.gold.kind),
            "gold_choices": list(group.prompt.gold.choices),
            "decided": sampled.output.decided[p],
            "trained": trained[p],
        }
        for g in range(len(group.responses)):
            own = _response(group.responses[g], old, p, g) | _reward(sampled, p, g)
            yield of_group | own | _derivation(derivation, clamped, p, g)


def _response(response: Response, old: LogProbs, p: int, g: int) -> Row:
    """The text, and its log-probs under the learner and the sampler."""
    length = len(response.tokens)
    logprob = old.logprob[p, g, :length].tolist()
    gaps = [abs(a - b) for a, b in zip(logprob, response.logprobs, strict=True)]
    by_learner = old.entropy is not None
    return {
        "response": g + 1,
        "text": response.text,
        "tokens": list(response.tokens),
        "logprob": logprob,
        "finish_reason": response.finish_reason,
        "entropy_mean": _mean(old.entropy[p, g, :length]) if old.entropy is not None else None,
        "logprob_gap_mean": sum(gaps) / max(length, 1) if by_learner else None,
        "logprob_gap_max": max(gaps, default=0.0) if by_learner else None,
    }


def _reward(sampled: Round, p: int, g: int) -> Row:
    reward = sampled.rewards[p][g]
    return {
        **verdict_columns(reward.verdict),
        "reward_answer": reward.answer,
        "reward_format": reward.format,
        "reward_noise": reward.noise,
        "reward_overlong": reward.overlong,
        "reward_verif": reward.verif,
    } | {f"{CREDIT}{name}": values[p][g] for name, values in sampled.output.columns.items()}


def _derivation(derivation: Derivation, clamped: Tensor, p: int, g: int) -> Row:
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
