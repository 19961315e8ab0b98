"""One row per response with every quantity an iteration derived for it, and the metrics of an iteration.

The metrics of responses come from these rows, which are stored; those of updates from their statistics.
"""

import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from icpo_cli.distributed import Ranks
from icpo_cli.objective.confidence import is_clamped
from icpo_cli.objective.methods import Derivation
from icpo_cli.records import (
    UNIFORM,
    AnswerKind,
    LogProbs,
    Response,
    Update,
    VerdictKind,
    count_kinds,
    group_outcome,
    verdict_columns,
)
from icpo_cli.runs.parquet import Row
from icpo_cli.train.round import Round

CREDIT = "credit_"
"""Prefix of the columns with a reward source's intermediate values."""
PHASES = ("rollout", "reward", "logprobs", "update", "sync")
"""The phases of an iteration. If the first update computes the old log-probs, they are timed under update."""


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


TAIL_FROM = 0.9
"""Share of the groups after which the tail of a rollout begins."""


def response_metrics(rows: Sequence[Row], group_size: int, omega: float) -> dict[str, float]:
    """Metrics over all ranks' responses: `group_size` rows per group, one group after another."""

    def column(name: str) -> np.ndarray:  # [P, G]
        return np.array([row[name] for row in rows], dtype=float).reshape(-1, group_size)

    verif, final, bonus = column("reward_verif"), column("reward_final"), column("bonus")
    confidence, advantage = column("confidence"), column("advantage")
    tokens = np.array([len(row["tokens"]) for row in rows], dtype=float)
    verdicts = [row["verdict"] for row in rows]
    outcomes = [
        group_outcome([VerdictKind(kind) for kind in group]) for group in np.reshape(verdicts, verif.shape)
    ]  # [P]
    metrics = {
        "reward/verif": verif.mean(),
        "reward/final": final.mean(),
        "reward/answer": column("reward_answer").mean(),
        "reward/format": column("reward_format").mean(),
        "reward/overlong": column("reward_overlong").mean(),
        "reward/noisy_share": np.mean(column("reward_noise") != 0),
        "confidence/mean": confidence.mean(),
        "confidence/group_std": confidence.std(-1).mean(),
        "confidence/clamped_share": column("confidence_clamped").mean(),
        "preference_score/mean": column("preference_score").mean(),
        "preference_score/capped_share": column("preference_capped").mean(),
        "omega": omega,
        "bonus/mean": bonus.mean(),
        "bonus/share": np.abs(bonus).sum() / max(np.abs(bonus).sum() + np.abs(verif).sum(), 1e-12),
        "groups/uniform_reward_share": np.mean([_uniform(group) for group in verif]),
        "groups/uniform_verdict_share": np.mean([outcome in UNIFORM for outcome in outcomes]),
        "groups/undecided_share": 1 - column("decided").mean(),
        "groups/uniform_final_share": np.mean([_uniform(group) for group in final]),
        "groups/untrained_share": 1 - column("trained").mean(),
        "groups/zero_advantage_share": np.mean((advantage == 0).all(-1)),
        "advantage/std": advantage.std(),
        "advantage/max": np.abs(advantage).max(),
        "response_tokens/mean": tokens.mean(),
        "response_tokens/max": tokens.max(),
        "response_tokens/cut_off_share": np.mean([row["finish_reason"] == "length" for row in rows]),
        "tokens/response": tokens.sum(),
    }
    if all(row["entropy_mean"] is not None for row in rows):  # the learner computed the old log-probs
        for name, by_response in (("entropy", "entropy_mean"), ("logprob_gap/mean", "logprob_gap_mean")):
            metrics[name] = float((column(by_response).ravel() * tokens).sum() / max(tokens.sum(), 1))
        metrics["logprob_gap/max"] = column("logprob_gap_max").max()
    if VerdictKind.NO_GOLD not in verdicts:
        metrics["accuracy"] = verdicts.count(VerdictKind.CORRECT) / len(verdicts)
    metrics |= {f"verdict/{kind}": float(count) for kind, count in count_kinds(verdicts).items()}
    for name in rows[0]:
        if name.startswith(CREDIT):
            metrics[f"credit/{name.removeprefix(CREDIT)}"] = column(name).mean()
    return {name: float(value) for name, value in metrics.items()}


def update_metrics(updates: Sequence[Update]) -> dict[str, float]:
    """Means over the iteration's updates; skipped updates are counted and left out."""
    done = [update for update in updates if not update.skipped]
    metrics = {"updates/done": float(len(done)), "updates/skipped": float(len(updates) - len(done))}
    if done:
        for name in ("loss", "policy_loss", "kl", "clip_fraction", "log_ratio", "grad_norm", "padding_share"):
            metrics[name] = float(np.mean([getattr(update, name) for update in done]))
        entropies = [update.entropy for update in done if update.entropy is not None]
        metrics |= {"entropy": float(np.mean(entropies))} if entropies else {}
    return metrics


def process_metrics(updates: Sequence[Update]) -> dict[str, float]:
    """Metrics of the process model's updates; empty without one."""
    done = [update for update in updates if not update.skipped]
    metrics = {"process/skipped": float(len(updates) - len(done))} if updates else {}
    for name in ("loss", "grad_norm") if done else ():
        metrics[f"process/{name}"] = float(np.mean([getattr(update, name) for update in done]))
    return metrics


def machine_metrics(
    seconds: Mapping[str, float], response_tokens: float, update_flops: float, ranks: Ranks, peak: float | None = None
) -> dict[str, float]:
    """Seconds per phase, speed, and peak memory of this rank so far, in GiB.

    `response_tokens` and `update_flops` (matmuls) of all ranks; `peak` FLOP/s of a device, None where it is not known.
    """
    metrics = {f"seconds/{phase}": seconds.get(phase, 0.0) for phase in PHASES}
    metrics["seconds/iteration"] = sum(seconds.values())
    metrics["ranks"] = float(ranks.size)
    metrics["tokens_per_second/rollout"] = response_tokens / max(seconds["rollout"], 1e-9)
    metrics["tokens_per_second/device"] = response_tokens / max(metrics["seconds/iteration"], 1e-9) / ranks.size
    if peak is not None:
        metrics["mfu/update"] = update_flops / max(seconds["update"], 1e-9) / ranks.size / peak
    # ru_maxrss is in KiB on Linux, in bytes on macOS.
    unit = 1024 if sys.platform.startswith("linux") else 1
    metrics["memory/peak_host_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    if ranks.device.type == "cuda":
        metrics["memory/peak_device_gib"] = torch.cuda.max_memory_allocated(ranks.device) / 2**30
    return metrics


def rollout_metrics(finished: Sequence[Sequence[Sequence[float]]]) -> dict[str, float]:
    """Seconds in which devices idle at the end of a rollout, summed over its rounds.

    `finished`: [ranks][rounds][P] seconds from a round's start until a group had all its responses.
    """
    wait = tail = 0.0
    for by_rank in zip(*finished, strict=True):
        ends = [max(groups) for groups in by_rank]
        wait += max(ends) - float(np.mean(ends))
        tail += max(ends) - float(np.quantile(np.concatenate(by_rank), TAIL_FROM))
    return {"seconds/rollout_wait": wait, "seconds/rollout_tail": tail}


def _uniform(group: np.ndarray) -> bool:
    """All exactly equal: the test that the group advantage uses."""
    return len(list(groupby(group))) == 1
