"""The policy under DeepSpeed: scores, updates, weights, checkpoints. The one file that imports deepspeed."""

import gc
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.device import DeviceProfile
from icpo_cli.learner.balance import cost_of
from icpo_cli.learner.deepspeed_config import deepspeed_config, runs_optimizer_bare
from icpo_cli.learner.optimizer import SkippableAdamW, poison_gauge
from icpo_cli.learner.pack import (
    Packed,
    micro_batches,
    own_length,
    pack,
    response_mask,
    sampled_logprob,
    shared_head,
    text_as_group,
)
from icpo_cli.learner.policy import Policy, TokenScores, load_model
from icpo_cli.learner.ranks import Ranks
from icpo_cli.objective.loss import Loss, LossOutput, TokenRows, Totals
from icpo_cli.records import Batch, Group, Scores, Update

os.environ.setdefault("DS_LOG_LEVEL", "warning")
import deepspeed

logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
# Shared-memory collectives for CPU inference: compiled at first use, a minute with a compiler, and not used here.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False

STATE_TAG = "state"
"""Name of DeepSpeed's folder inside a checkpoint's resume folder."""


class DeepSpeedLearner:
    """Holds the policy, the reference where the KL term needs one, and the optimiser."""

    def __init__(self, config: Config, model: str, profile: DeviceProfile, ranks: Ranks, loss: Loss) -> None:
        """`model` is a local folder; the reference is always read from it, whatever is loaded later."""
        self.config = config
        self._loss = loss
        self.ranks = ranks
        self._groups_per_update = config.learner.mini_batch_prompts // ranks.size
        self._zero_stage = profile.zero_stage if config.learner.zero_stage is None else config.learner.zero_stage
        self._dtype = profile.dtype
        policy = self._policy(model)
        self._poison = poison_gauge(policy, ranks.device)
        self._optimizer = SkippableAdamW(
            policy.parameters(),
            lr=config.learner.learning_rate,
            weight_decay=config.learner.weight_decay,
            fused=True,
        )
        if runs_optimizer_bare(self._zero_stage, self._dtype):
            self._optimizer.max_grad_norm = config.learner.max_grad_norm
        self._engine_config = deepspeed_config(config.learner, self._zero_stage, self._dtype, ranks.size)
        self.engine: Any = deepspeed.initialize(model=policy, optimizer=self._optimizer, config=self._engine_config)[0]
        self.engine.train()
        self._keeps = _trains_what_it_scored(config) and self._zero_stage < 3  # which gathers for each pass
        self._kept: _Kept | None = None
        self.reference = self._reference(model) if config.learner.kl_coef > 0 else None

    def cost(self, group: Group) -> float:
        return cost_of(group, self.engine.module.model.config.hidden_size)

    def score(self, groups: Sequence[Group], with_self_certainty: bool = False) -> Scores:
        """Log-probs and entropy of this rank's responses under the current weights, which are the old policy's.

        Groups are packed as `update` will pack them, so that the first update's ratio is exactly 1. It is on-policy:
        where the update will have these groups, the first micro-batch's pass is kept for it to go backward through.
        """
        mask = response_mask(groups)  # [P, G, T]
        logprob, entropy = torch.zeros_like(mask), torch.zeros_like(mask)
        temperature = self.config.rollout.temperature
        ref_logprob = torch.zeros_like(mask) if self.reference is not None else None
        self_certainty = torch.zeros_like(mask) if with_self_certainty else None
        keep = self._keeps and self._kept is None
        for indices, packed in self._all_micro_batches(groups):
            with torch.set_grad_enabled(keep):
                scores: TokenScores = self.engine(packed, temperature, True, with_self_certainty)
            if keep:
                self._kept = _Kept([groups[index] for index in indices], scores.logprob)
                keep = False
            with torch.no_grad():
                assert scores.entropy is not None
                _put(logprob, indices, scores.logprob.detach())
                _put(entropy, indices, scores.entropy)
                if scores.self_certainty is not None and self_certainty is not None:
                    _put(self_certainty, indices, scores.self_certainty)
                if self.reference is not None and ref_logprob is not None:
                    _put(ref_logprob, indices, self.reference(packed, temperature).logprob)
        return Scores(logprob, ref_logprob, entropy, mask, self_certainty)

    def scores_of_sampler(self, groups: Sequence[Group]) -> Scores:
        """The sampler's log-probs of this rank's responses, and the reference's where there is one."""
        mask = response_mask(groups)  # [P, G, T]
        ref_logprob = None
        if self.reference is not None:
            ref_logprob = torch.zeros_like(mask)
            with torch.no_grad():
                for indices, packed in self._all_micro_batches(groups):
                    _put(ref_logprob, indices, self.reference(packed, self.config.rollout.temperature).logprob)
        return Scores(sampled_logprob(groups), ref_logprob, None, mask)

    def update(self, batch: Batch) -> list[Update]:
        """The iteration's updates, one a mini-batch, in the order of the prompts."""
        return [self._update_on(batch, members) for members in self._mini_batches(len(batch.groups))]

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        packed = pack([text_as_group(tokens)]).to(self.ranks.device)
        with torch.no_grad():
            logprob: Tensor = self.engine(packed, temperature=1.0).logprob
        return [float(value) for value in logprob.flatten()]

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight, whole, under its Hugging Face name. All ranks must draw it together (ZeRO 3 gathers)."""
        for name, parameter in self.engine.module.model.named_parameters():
            whole = deepspeed.zero.GatheredParameters([parameter]) if self._zero_stage == 3 else nullcontext()
            with whole:
                yield name, parameter.detach()

    def save_state(self, folder: Path) -> None:
        """Weights, master weights and optimiser of all ranks, for an exact resume by as many ranks."""
        self.engine.save_checkpoint(str(folder), tag=STATE_TAG)

    def load_state(self, folder: Path) -> None:
        path, _ = self.engine.load_checkpoint(str(folder), tag=STATE_TAG)
        if path is None:
            raise FileNotFoundError(f"{folder}: DeepSpeed finds no state here")

    def save_model(self, folder: Path) -> None:
        """The policy as a Hugging Face folder; rank 0 writes."""
        weights = {}
        for name, weight in self.named_weights():
            if self.ranks.first:
                weights[name] = weight.cpu().clone()
        if self.ranks.first:
            self.engine.module.model.save_pretrained(folder, state_dict=weights)
        self.ranks.wait()

    def close(self) -> None:
        self.engine.destroy()
        gc.collect()

    def _update_on(self, batch: Batch, members: list[int]) -> Update:
        """One optimiser step on the mini-batch that this rank's `members` are its part of."""
        mask = batch.scores.mask[members]  # [P, G, T]
        counts = self.ranks.total(torch.stack([torch.tensor(float(mask.shape[0] * mask.shape[1])), mask.sum()]))
        totals = Totals(responses=int(counts[0]), tokens=int(counts[1]))
        parts = []
        for indices, packed in self._micro_batches(batch.groups, members):
            output, entropy = self._loss_of(batch, indices, packed, totals)
            # DeepSpeed averages gradients over ranks; the loss is normalised over all of them already.
            self.engine.backward(output.loss * self.ranks.size)
            seen = (output.loss.detach(), output.policy_loss, output.kl, output.clipped, output.log_ratio, entropy)
            parts.append(torch.stack(seen))
        sums = self.ranks.total(torch.stack(parts).double().sum(0))
        skipped = self._is_poisoned(sums)
        self._optimizer.skip = skipped
        self.engine.step()
        norm = self.engine.get_global_grad_norm() or self._optimizer.grad_norm
        return Update(
            loss=float(sums[0]),
            policy_loss=float(sums[1]),
            kl=float(sums[2]),
            clip_fraction=float(sums[3]),
            log_ratio=float(sums[4]),
            entropy=None if batch.scores.entropy is not None else float(sums[5]) / totals.tokens,
            grad_norm=float("nan") if skipped else float(norm),
            skipped=skipped,
        )

    def _loss_of(self, batch: Batch, indices: list[int], packed: Packed, totals: Totals) -> tuple[LossOutput, Tensor]:
        """Also the sum of entropies, where nobody knows them of the rollout; else 0."""
        policy = self._pass_over([batch.groups[index] for index in indices], packed, batch.scores.entropy is None)
        logprob = policy.logprob.flatten(0, 1)  # [R, T]
        entropy = logprob.new_zeros(()) if policy.entropy is None else policy.entropy.sum()
        length = logprob.shape[-1]

        def rows(values: Tensor) -> Tensor:  # [P, G, T of the iteration] -> [R, T of the micro-batch]
            return values[indices, :, :length].flatten(0, 1).to(logprob.device)

        scores = batch.scores
        output = self._loss(
            TokenRows(
                logprob=logprob,
                old_logprob=rows(scores.logprob),
                ref_logprob=None if scores.ref_logprob is None else rows(scores.ref_logprob),
                advantage=rows(batch.advantage),
                mask=rows(scores.mask),
            ),
            totals,
        )
        return output, entropy

    def _pass_over(self, groups: Sequence[Group], packed: Packed, with_entropy: bool) -> TokenScores:
        """With its graph: what was kept, where it is of the same groups, and weights are still those of the rollout."""
        kept, self._kept = self._kept, None
        if kept is not None and len(kept.groups) == len(groups) and all(map(is_, kept.groups, groups)):
            return TokenScores(kept.logprob, None, None)
        del kept  # its graph, before another is made
        scores: TokenScores = self.engine(packed, self.config.rollout.temperature, with_entropy)
        return scores

    def _mini_batches(self, count: int) -> list[list[int]]:
        step = self._groups_per_update
        return [list(range(start, start + step)) for start in range(0, count, step)]

    def _micro_batches(self, groups: Sequence[Group], members: list[int]) -> Iterator[tuple[list[int], Packed]]:
        """The rows of a mini-batch in micro-batches, as many on every rank: ranks meet in each backward."""
        head = shared_head([groups[index] for index in members])
        lengths = [own_length(groups[index], head) for index in members]
        budget = self.config.learner.micro_batch_tokens - head
        at_least = int(self.ranks.most(len(micro_batches(lengths, budget))))
        for batch in micro_batches(lengths, budget, at_least):
            indices = [members[position] for position in batch]
            yield indices, pack([groups[index] for index in indices]).to(self.ranks.device)

    def _all_micro_batches(self, groups: Sequence[Group]) -> Iterator[tuple[list[int], Packed]]:
        for members in self._mini_batches(len(groups)):
            yield from self._micro_batches(groups, members)

    def _is_poisoned(self, sums: Tensor) -> bool:
        """Whether a loss or a gradient of this update was not finite, on any rank."""
        bad = not bool(torch.isfinite(self._poison).all() and torch.isfinite(sums).all())
        self._poison.zero_()
        return self.ranks.most(float(bad)) > 0

    def _policy(self, model: str) -> Policy:
        settings = self.config.learner
        policy = Policy(
            load_model(model, None, self._dtype), settings.logit_chunk_tokens, settings.gradient_checkpointing
        )
        if self._zero_stage == 3:
            # The policy multiplies by it without calling the module that owns it.
            deepspeed.zero.register_external_parameter(policy, policy.head.weight)
        return policy

    def _reference(self, model: str) -> Any:
        """The starting policy, frozen; shared out over the ranks where the policy is."""
        reference = self._policy(model).eval().requires_grad_(False)
        if self._zero_stage == 3:
            return deepspeed.initialize(model=reference, config=self._engine_config)[0]
        return reference.to(self.ranks.device)


@dataclass(frozen=True)
class _Kept:
    """A micro-batch's pass, to go backward through."""

    groups: Sequence[Group]
    logprob: Tensor  # [P, G, T] with its graph


def _trains_what_it_scored(config: Config) -> bool:
    """The groups of one round, as they were sampled; a likelihood is of other texts, which are trained on instead."""
    return config.rollout.max_rounds == 1 and config.rollout.keep == "all" and config.reward.source != "likelihood"


def _put(whole: Tensor, indices: list[int], part: Tensor) -> None:
    """Write a micro-batch's groups to their places. [P, G, T], [B, G, t]"""
    whole[indices, :, : part.shape[-1]] = part.cpu()
