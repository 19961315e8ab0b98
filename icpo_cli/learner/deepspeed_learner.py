"""The policy under DeepSpeed: scores, updates, weights, checkpoints. The one file that imports deepspeed."""

import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.device import DeviceProfile
from icpo_cli.distributed import Ranks
from icpo_cli.learner.balance import cost_of
from icpo_cli.learner.deepspeed_config import deepspeed_config, runs_optimizer_bare
from icpo_cli.learner.learner import Pass
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
from icpo_cli.learner.rows import in_order, joined, rows_of
from icpo_cli.objective.loss import Loss, TokenRows, Totals
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
        self._seen: list[Tensor] = []  # what an update's micro-batches added to it so far
        self.reference = self._reference(model) if config.learner.kl_coef > 0 else None

    def cost(self, group: Group) -> float:
        return cost_of(group, self.engine.module.model.config.hidden_size)

    @torch.no_grad()
    def score(self, groups: Sequence[Group], with_self_certainty: bool = False) -> Scores:
        """Log-probs and entropy of this rank's responses under the current weights, which are the old policy's.

        Groups are packed as `update` will pack them, so that the first update's ratio is exactly 1.
        """

        def scores(own: Sequence[Group], packed: Packed) -> Scores:
            return self._scores(own, packed, self._forward(packed, True, with_self_certainty))

        return self._by_micro_batch(groups, scores)

    def passes(self, groups: Sequence[Group]) -> Iterator[Pass]:
        """As `score`, with gradient; what backwards need is kept of one micro-batch at a time."""
        totals = self._totals(response_mask(groups))
        for indices, packed in self._micro_batches(groups, range(len(groups))):
            policy = self._forward(packed, with_entropy=True)
            scores = self._scores([groups[index] for index in indices], packed, policy)
            yield Pass(indices, scores, partial(self._learn, policy, scores, totals))

    @torch.no_grad()
    def scores_of_sampler(self, groups: Sequence[Group]) -> Scores:
        """The sampler's log-probs of this rank's responses, and the reference's where there is one."""

        def scores(own: Sequence[Group], packed: Packed) -> Scores:
            return Scores(sampled_logprob(own), self._ref_logprob(packed), None, response_mask(own))

        if self.reference is None:
            return Scores(sampled_logprob(groups), None, None, response_mask(groups))
        return self._by_micro_batch(groups, scores)

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
        totals = self._totals(batch.scores.mask[members])
        if not self._seen:
            for indices, packed in self._micro_batches(batch.groups, members):
                policy = self._forward(packed, with_entropy=batch.scores.entropy is None)
                old = rows_of(batch.scores, indices, packed.shape[-1])
                self._learn(policy, old, totals, batch.advantage[indices, :, : packed.shape[-1]])
        sums = self.ranks.total(torch.stack(self._seen).double().sum(0))
        self._seen = []
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

    def _forward(self, packed: Packed, with_entropy: bool, with_self_certainty: bool = False) -> TokenScores:
        scores: TokenScores = self.engine(packed, self.config.rollout.temperature, with_entropy, with_self_certainty)
        return scores

    @torch.no_grad()
    def _ref_logprob(self, packed: Packed) -> Tensor | None:
        """[P, G, T]"""
        if self.reference is None:
            return None
        logprob: Tensor = self.reference(packed, self.config.rollout.temperature).logprob.cpu()
        return logprob

    def _scores(self, own: Sequence[Group], packed: Packed, policy: TokenScores) -> Scores:
        """What a pass says of its micro-batch, with the reference's word beside it."""
        logprob, entropy, self_certainty = (None if each is None else each.detach().cpu() for each in policy)
        assert logprob is not None
        return Scores(logprob, self._ref_logprob(packed), entropy, response_mask(own), self_certainty)

    def _by_micro_batch(self, groups: Sequence[Group], scores: Callable[[Sequence[Group], Packed], Scores]) -> Scores:
        """Of all groups, each mini-batch's cut as its update will cut them."""
        places, parts = [], []
        for members in self._mini_batches(len(groups)):
            for indices, packed in self._micro_batches(groups, members):
                places.append(indices)
                parts.append(scores([groups[index] for index in indices], packed))
        return joined(parts, in_order(places))

    def _learn(self, policy: TokenScores, old: Scores, totals: Totals, advantage: Tensor) -> None:
        """A micro-batch's backward, and what it adds to the numbers of its update."""

        def rows(values: Tensor) -> Tensor:  # [P, G, T] -> [R, T]
            return values.flatten(0, 1).to(self.ranks.device)

        output = self._loss(
            TokenRows(
                logprob=rows(policy.logprob),
                old_logprob=rows(old.logprob),
                ref_logprob=None if old.ref_logprob is None else rows(old.ref_logprob),
                advantage=rows(advantage),
                mask=rows(old.mask),
            ),
            totals,
        )
        # DeepSpeed averages gradients over ranks; the loss is normalised over all of them already.
        self.engine.backward(output.loss * self.ranks.size)
        entropy = torch.zeros_like(output.kl) if policy.entropy is None else policy.entropy.sum()
        seen = (output.loss.detach(), output.policy_loss, output.kl, output.clipped, output.log_ratio, entropy)
        self._seen.append(torch.stack(seen))

    def _totals(self, mask: Tensor) -> Totals:
        """Of this and all other ranks' part of a mini-batch. [P, G, T]"""
        counts = self.ranks.total(torch.stack([torch.tensor(float(mask.shape[0] * mask.shape[1])), mask.sum()]))
        return Totals(responses=int(counts[0]), tokens=int(counts[1]))

    def _mini_batches(self, count: int) -> list[list[int]]:
        step = self._groups_per_update
        return [list(range(start, start + step)) for start in range(0, count, step)]

    def _micro_batches(self, groups: Sequence[Group], members: Sequence[int]) -> Iterator[tuple[list[int], Packed]]:
        """The rows of a mini-batch in micro-batches, as many on every rank: ranks meet in each backward."""
        head = shared_head([groups[index] for index in members])
        lengths = [own_length(groups[index], head) for index in members]
        budget = self.config.learner.micro_batch_tokens - head
        at_least = int(self.ranks.most(len(micro_batches(lengths, budget))))
        for batch in micro_batches(lengths, budget, at_least):
            indices = [members[position] for position in batch]
            yield indices, pack([groups[index] for index in indices]).to(self.ranks.device)

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
