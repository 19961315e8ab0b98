"""A round of sampling, the advantages derived from it, and the groups that an update trains on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.distributed import Ranks
from icpo_cli.learner.pack import sampled_logprob
from icpo_cli.learner.rows import concat, concat_tensors
from icpo_cli.objective.advantage import likelihood_advantage, token_advantage
from icpo_cli.objective.confidence import CONFIDENCE
from icpo_cli.objective.loss import truncated_importance
from icpo_cli.objective.methods import Derivation, derive
from icpo_cli.objective.process import process_advantage
from icpo_cli.objective.selection import KEEP
from icpo_cli.records import Group, LogProbs, Reward
from icpo_cli.rewards.source import SourceOutput


@dataclass(frozen=True)
class Round:
    """P groups of this rank, sampled together, and their rewards; `derive_round` sets the last four fields."""

    groups: Sequence[Group]
    rewards: Sequence[Sequence[Reward]]
    output: SourceOutput
    old: LogProbs | None = None
    derivation: Derivation | None = None
    advantage: Tensor | None = None
    """[P, G, T] float32, of each token of the texts that are trained on."""
    kept: Sequence[bool] | None = None
    """[P] whether `rollout.keep` lets the group into the update; None: it lets all."""

    @property
    def training_groups(self) -> Sequence[Group]:
        """The texts that are trained on: the responses, or those that the reward source puts in their place."""
        return self.groups if self.output.targets is None else self.output.targets.groups

    @property
    def training_logprobs(self) -> LogProbs:
        """Old log-probs of the texts that are trained on."""
        if self.output.targets is not None:
            return self.output.targets.old
        assert self.old is not None
        return self.old

    def select(self, indices: Sequence[int]) -> "Round":
        """The groups at `indices`, before their derivation."""
        groups, rewards = [self.groups[i] for i in indices], [self.rewards[i] for i in indices]
        return Round(groups, rewards, self.output.select(indices))


@dataclass(frozen=True)
class UpdateBatch:
    """The groups of this rank that an iteration's updates train on."""

    groups: tuple[Group, ...]
    old: LogProbs | None
    """None: the forward of the first update computes the old log-probs."""
    advantage: Tensor | None
    """[P, G, T]; None with `old`."""


def derive_round(
    config: Config,
    sampled: Round,
    old: LogProbs,
    omega: float,
    running_std: float | None,
    gather: Callable[[Tensor], Tensor] = lambda values: values,
) -> Round:
    """Confidence, preference score, final reward and advantage (Eq. 7, 9, 11, 5), and which groups to keep.

    Pure. `running_std`: of final rewards within a group, over past iterations. `gather`: concatenates the values of
    all ranks, for a baseline over the complete batch.
    """
    verif = torch.tensor([[each.verif for each in group] for group in sampled.rewards], dtype=torch.float64)  # [P, G]
    confidence = CONFIDENCE[config.method.confidence](old.logprob.double(), old.mask)  # [P, G]
    derivation = derive(confidence, verif, omega, config.method, torch.tensor(sampled.output.decided), gather)
    correct = torch.tensor([[each.verdict.correct for each in group] for group in sampled.rewards])  # [P, G]
    kept = KEEP[config.rollout.keep](derivation.final_reward, correct, running_std or 0.0, config.rollout)  # [P]
    advantage = _token_advantage(config, sampled, old, derivation.advantage)
    return replace(sampled, old=old, derivation=derivation, advantage=advantage, kept=kept.tolist())


def _token_advantage(config: Config, sampled: Round, old: LogProbs, advantage: Tensor) -> Tensor:
    """The advantage of each token of the texts that are trained on. [P, G] -> [P, G, T] float32"""
    targets, process = sampled.output.targets, sampled.output.process
    if targets is not None:
        probability = torch.tensor(sampled.output.answer, dtype=torch.float64)  # [P, G]
        return likelihood_advantage(advantage, targets.old.mask, targets.reference, probability).float()
    by_token = token_advantage(advantage, old.mask)
    if process is not None:
        by_token = by_token + process_advantage(process.reward, old.mask)
    if config.learner.importance_cap is not None and config.learner.old_logprobs == "learner":
        sampler_logprob = sampled_logprob(sampled.groups, old.mask.shape[-1])
        by_token = by_token * truncated_importance(old.logprob, sampler_logprob, config.learner.importance_cap)
    return by_token.float()


def missing(rounds: Sequence[Round], size: int) -> int:
    """How many more groups to keep this rank needs for an update of `size` groups."""
    return size - sum(_keep(rounds))


def select_for_update(rounds: Sequence[Round], size: int) -> list[int]:
    """The `size` groups to train on, as indices into the groups of all rounds.

    Groups to keep come first, in the order they were sampled. If there are too few, other groups fill the batch, so
    that every rank has equally many; `update_batch` gives these an advantage of 0.
    """
    keep = _keep(rounds)
    kept = [index for index, each in enumerate(keep) if each][:size]
    others = [index for index, each in enumerate(keep) if not each]
    return kept + others[: size - len(kept)]


def update_batch(rounds: Sequence[Round], indices: Sequence[int]) -> UpdateBatch:
    """The selected groups, or the texts that are trained on in their place, with old log-probs and advantages."""
    groups = [group for sampled in rounds for group in sampled.training_groups]
    selected = tuple(groups[index] for index in indices)
    advantages = [sampled.advantage for sampled in rounds if sampled.advantage is not None]
    if not advantages:
        return UpdateBatch(selected, None, None)
    old = concat([sampled.training_logprobs for sampled in rounds], indices)
    keep = _keep(rounds)
    advantage = concat_tensors(advantages, indices)
    advantage[torch.tensor([not keep[index] for index in indices])] = 0
    return UpdateBatch(selected, old, advantage)


def outcome_batch(rounds: Sequence[Round], indices: Sequence[int]) -> UpdateBatch | None:
    """The selected groups as training data of the process model, each token's "advantage" its response's outcome."""
    outputs = [each.output for each in rounds]
    process = [each.process for each in outputs if each.process is not None]
    if not process:
        return None
    groups = [group for each in rounds for group in each.groups]
    outcomes = [
        token_advantage(torch.tensor(output.answer), each.old.mask)
        for output, each in zip(outputs, process, strict=True)
    ]
    old = concat([each.old for each in process], indices)
    return UpdateBatch(tuple(groups[index] for index in indices), old, concat_tensors(outcomes, indices))


def mean_final_std(rounds: Sequence[Round], ranks: Ranks) -> float:
    """Mean, over the groups of all ranks, of the std (ddof 1) of their final rewards."""
    stds = torch.cat([each.derivation.final_reward.std(-1) for each in rounds if each.derivation is not None])
    total, count = ranks.all_reduce_sum(torch.stack([stds.sum(), torch.tensor(float(len(stds)))]))
    return float(total / count)


def _keep(rounds: Sequence[Round]) -> list[bool]:
    return [keep for each in rounds for keep in each.kept or [True] * len(each.groups)]
