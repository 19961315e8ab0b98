"""The policy under DeepSpeed: log-probs, updates, weights, checkpoints. The only file that imports deepspeed."""

import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icpo_cli.config.schema import Config, LearnerConfig
from icpo_cli.device import DeviceProfile
from icpo_cli.distributed import Ranks
from icpo_cli.learner.attention import uses_varlen
from icpo_cli.learner.balance import cost_of, forward_flops
from icpo_cli.learner.learner import AdvantageOf
from icpo_cli.learner.optimizer import NonFiniteGradMonitor, adamw
from icpo_cli.learner.optimizer_state import OwnedPiece, owned_pieces, read_state, write_state
from icpo_cli.learner.pack import (
    Packed,
    longest_response,
    micro_batches,
    pack,
    packed_length,
    response_mask,
    sampled_logprob,
    shared_prefix,
    text_as_group,
)
from icpo_cli.learner.policy import Policy, TokenStats, load_model
from icpo_cli.learner.rows import concat, original_order, resize, select
from icpo_cli.models.sizes import Architecture
from icpo_cli.objective.loss import Loss, TokenRows, Totals
from icpo_cli.records import Group, LogProbs, Update

os.environ.setdefault("DS_LOG_LEVEL", "warning")
import deepspeed

logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
# DeepSpeed compiles its shared-memory collectives for CPU inference at first use, which takes a minute. Unused here.
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


class DeepSpeedLearner:
    """The policy, its optimizer, and the reference model if the KL term needs one."""

    def __init__(self, config: Config, model: str, profile: DeviceProfile, ranks: Ranks, loss: Loss) -> None:
        """`model`: a local folder. The reference model is always loaded from it, even after `load_state`."""
        self.config = config
        self._loss = loss
        self.ranks = ranks
        self._groups_per_update = config.learner.mini_batch_prompts // ranks.size
        self._zero_stage = profile.zero_stage if config.learner.zero_stage is None else config.learner.zero_stage
        self._dtype = profile.dtype
        policy = self._policy(model)
        self._monitor = NonFiniteGradMonitor(policy, ranks.device)
        self._optimizer = adamw(policy.parameters(), config.learner)
        if clips_in_optimizer(self._zero_stage, self._dtype):
            self._optimizer.max_grad_norm = config.learner.max_grad_norm
        self._engine_config = deepspeed_config(config.learner, self._zero_stage, self._dtype, ranks)
        self.engine: Any = deepspeed.initialize(model=policy, optimizer=self._optimizer, config=self._engine_config)[0]
        softcap = getattr(policy.model.config, "attn_logit_softcapping", None)
        self._pads = not uses_varlen(policy.lm_head.weight, softcap)
        self.engine.train()
        self.reference = self._reference(model) if config.learner.kl_coef > 0 else None

    def cost(self, group: Group) -> float:
        return cost_of(group, self.engine.module.model.config.hidden_size)

    def update_flops(self, groups: Sequence[Group], old: LogProbs | None) -> float:
        """Matmul FLOPs of `update` on this rank; recomputed activations are not counted.

        A forward and a backward, which has twice as many. Where `update` also computes the old log-probs, the forward
        of the reference model, and another forward for all mini-batches but the first.
        """
        sizes = Architecture.of(self.engine.module.model.config.to_dict())
        forward = forward_flops(groups, sizes)
        if old is not None:
            return 3 * forward
        later = groups[self._groups_per_update :]
        return (3 + (self.reference is not None)) * forward + (forward_flops(later, sizes) if later else 0)

    def update(
        self, groups: Sequence[Group], advantage_of: AdvantageOf, old: LogProbs | None
    ) -> tuple[LogProbs, list[Update]]:
        """One optimizer step per mini-batch, in order; returns all old log-probs, [P, G, T], and the statistics.

        old=None: the first mini-batch is on-policy, so one forward per micro-batch gives its old log-probs, from them
        its advantages, and its loss. Those of later mini-batches are computed before the first step.
        """
        first, *later = self._mini_batches(len(groups))
        rest = [self.logprobs(groups[len(first) :])] if later and old is None else []
        first_old, update = self._update_on(groups, first, advantage_of, old)
        updates = [update]
        if old is None:
            order = original_order([first, *later])
            old = concat([first_old, *rest], order)
        updates += [self._update_on(groups, members, advantage_of, old)[1] for members in later]
        return old, updates

    @torch.no_grad()
    def logprobs(self, groups: Sequence[Group], with_self_certainty: bool = False) -> LogProbs:
        """Log-probs and entropy of this rank's responses under the current weights, without gradient.

        Groups are packed as `update` packs them, so that the ratio of the first update is exactly 1.
        """

        def compute(own: Sequence[Group], packed: Packed) -> LogProbs:
            return self._as_logprobs(own, packed, self._forward(packed, True, with_self_certainty))

        return self._by_micro_batch(groups, compute)

    @torch.no_grad()
    def sampler_logprobs(self, groups: Sequence[Group]) -> LogProbs:
        """The log-probs that the sampler returned, and the reference model's if there is one."""

        def compute(own: Sequence[Group], packed: Packed) -> LogProbs:
            sampled = sampled_logprob(own, packed.shape[-1])
            return LogProbs(sampled, self._ref_logprob(packed), None, response_mask(own))

        if self.reference is None:
            return LogProbs(sampled_logprob(groups, longest_response(groups)), None, None, response_mask(groups))
        return self._by_micro_batch(groups, compute)

    def probe(self, tokens: Sequence[int]) -> list[float]:
        """Log-prob of each token but the first, given those before it, at temperature 1."""
        packed = pack([text_as_group(tokens)]).to(self.ranks.device)
        with torch.no_grad():
            logprob: Tensor = self.engine(packed, temperature=1.0).logprob
        return [float(value) for value in logprob.flatten()]

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight, unpartitioned, under its Hugging Face name. All ranks iterate together (ZeRO 3 gathers)."""
        for name, parameter in self._named_parameters():
            gathered = deepspeed.zero.GatheredParameters([parameter]) if self._zero_stage == 3 else nullcontext()
            with gathered:
                yield name, parameter.detach()

    def save_state(self, folder: Path) -> None:
        """Write master weights and optimizer state; a resume may have other ranks and another ZeRO stage."""
        pieces = self._owned_pieces()
        if self.ranks.first or self.engine.zero_optimization_stage() > 0:
            write_state(folder, self.ranks.rank, pieces, self._optimizer)

    @torch.no_grad()
    def load_state(self, folder: Path) -> None:
        stored = read_state(folder, self._owned_pieces(), self._optimizer)
        for name, parameter in self._named_parameters():
            whole = deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)
            with whole if self._zero_stage == 3 else nullcontext():
                parameter.copy_(stored.read(name, "weight", 0, parameter.numel()).view_as(parameter))

    def _owned_pieces(self) -> list[OwnedPiece]:
        return owned_pieces(dict(self._named_parameters()), self._optimizer, self.engine)

    def _named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        named: Iterator[tuple[str, torch.nn.Parameter]] = self.engine.module.model.named_parameters()
        return named

    def save_model(self, folder: Path) -> None:
        """Write the policy as a Hugging Face folder; rank 0 writes."""
        weights = {}
        for name, weight in self.named_weights():
            if self.ranks.first:
                weights[name] = weight.cpu().clone()
        if self.ranks.first:
            self.engine.module.model.save_pretrained(folder, state_dict=weights)
        self.ranks.barrier()

    def close(self) -> None:
        self.engine.destroy()
        gc.collect()

    def _update_on(
        self, groups: Sequence[Group], members: Sequence[int], advantage_of: AdvantageOf, old: LogProbs | None
    ) -> tuple[LogProbs, Update]:
        """One optimizer step on the mini-batch `members`; also `old`, or if None the old log-probs of its groups."""
        longest = longest_response(groups)
        totals = self._totals(response_mask([groups[index] for index in members]))
        # The sampler's log-probs come without entropy: the update's own forward adds it to the statistics.
        entropy_missing = old is not None and old.entropy is None
        order, parts, sums = [], [], []
        row_tokens = padded_tokens = 0
        for indices, packed in self._micro_batches(groups, members):
            row_tokens += packed.input_ids.shape[1]
            padded_tokens += packed.padded_tokens if self._pads else packed.input_ids.shape[1]
            stats = self._forward(packed, with_entropy=old is None or entropy_missing)
            if old is None:
                part = resize(self._as_logprobs([groups[index] for index in indices], packed, stats), longest)
            else:
                part = select(old, indices)
            advantage = advantage_of(indices, part)[..., : packed.shape[-1]]
            sums.append(self._backward(stats, resize(part, packed.shape[-1]), totals, advantage))
            order.append(indices)
            parts.append(part)
        counts = torch.tensor([row_tokens, padded_tokens], dtype=torch.float64)
        total = self.ranks.all_reduce_sum(torch.cat([torch.stack(sums).double().sum(0).cpu(), counts]))
        update = self._optimizer_step(total, totals.tokens if entropy_missing else None)
        return concat(parts, original_order(order)) if old is None else old, update

    def _backward(self, stats: TokenStats, old: LogProbs, totals: Totals, advantage: Tensor) -> Tensor:
        """Loss and backward of a micro-batch; returns its terms of the update's statistics, [6]."""

        def rows(values: Tensor) -> Tensor:  # [P, G, T] -> [R, T]
            return values.flatten(0, 1).to(self.ranks.device)

        output = self._loss(
            TokenRows(
                logprob=rows(stats.logprob),
                old_logprob=rows(old.logprob),
                ref_logprob=None if old.ref_logprob is None else rows(old.ref_logprob),
                advantage=rows(advantage),
                mask=rows(old.mask),
            ),
            totals,
        )
        # DeepSpeed averages gradients over ranks, but the loss is already normalized over all ranks.
        self.engine.backward(output.loss * self.ranks.size)
        entropy = torch.zeros_like(output.kl) if stats.entropy is None else stats.entropy.sum()
        return torch.stack(
            (output.loss.detach(), output.policy_loss, output.kl, output.clipped, output.log_ratio, entropy)
        )

    def _optimizer_step(self, sums: Tensor, entropy_tokens: int | None) -> Update:
        """Step, or skip the step on every rank if a loss or gradient was not finite on any. `sums`: [8], all ranks."""
        found_inf = self._monitor.pop_found_inf() or not bool(torch.isfinite(sums).all())
        skipped = self.ranks.all_reduce_max(float(found_inf)) > 0
        self._optimizer.skip = skipped
        self.engine.step()
        norm = self.engine.get_global_grad_norm() or self._optimizer.grad_norm
        return Update(
            loss=float(sums[0]),
            policy_loss=float(sums[1]),
            kl=float(sums[2]),
            clip_fraction=float(sums[3]),
            log_ratio=float(sums[4]),
            entropy=None if entropy_tokens is None else float(sums[5]) / entropy_tokens,
            grad_norm=float("nan") if skipped else float(norm),
            skipped=skipped,
            padding_share=1 - float(sums[6] / sums[7]),
        )

    def _forward(self, packed: Packed, with_entropy: bool, with_self_certainty: bool = False) -> TokenStats:
        stats: TokenStats = self.engine(packed, self.config.rollout.temperature, with_entropy, with_self_certainty)
        return stats

    @torch.no_grad()
    def _ref_logprob(self, packed: Packed) -> Tensor | None:
        """[P, G, T]"""
        if self.reference is None:
            return None
        logprob: Tensor = self.reference(packed, self.config.rollout.temperature).logprob.cpu()
        return logprob

    def _as_logprobs(self, own: Sequence[Group], packed: Packed, stats: TokenStats) -> LogProbs:
        """The record of a micro-batch's forward, with the reference model's log-probs, on the CPU."""
        logprob, entropy, self_certainty = (None if each is None else each.detach().cpu() for each in stats)
        assert logprob is not None
        return LogProbs(logprob, self._ref_logprob(packed), entropy, response_mask(own), self_certainty)

    def _by_micro_batch(
        self, groups: Sequence[Group], compute: Callable[[Sequence[Group], Packed], LogProbs]
    ) -> LogProbs:
        """Log-probs of all groups, each mini-batch split into micro-batches as `update` splits it."""
        order, parts = [], []
        for members in self._mini_batches(len(groups)):
            for indices, packed in self._micro_batches(groups, members):
                order.append(indices)
                parts.append(compute([groups[index] for index in indices], packed))
        return concat(parts, original_order(order))

    def _totals(self, mask: Tensor) -> Totals:
        """Counts of a mini-batch over all ranks. `mask`: [P, G, T] of this rank."""
        counts = self.ranks.all_reduce_sum(
            torch.stack([torch.tensor(float(mask.shape[0] * mask.shape[1])), mask.sum()])
        )
        return Totals(responses=int(counts[0]), tokens=int(counts[1]))

    def _mini_batches(self, count: int) -> list[list[int]]:
        step = self._groups_per_update
        return [list(range(start, start + step)) for start in range(0, count, step)]

    def _micro_batches(self, groups: Sequence[Group], members: Sequence[int]) -> Iterator[tuple[list[int], Packed]]:
        """The micro-batches of a mini-batch; equally many on every rank, because every backward is collective."""
        prefix = shared_prefix([groups[index] for index in members])
        lengths = [packed_length(groups[index], prefix) for index in members]
        budget = self.config.learner.micro_batch_tokens - prefix
        at_least = int(self.ranks.all_reduce_max(len(micro_batches(lengths, budget))))
        for batch in micro_batches(lengths, budget, at_least):
            indices = [members[position] for position in batch]
            yield indices, pack([groups[index] for index in indices]).to(self.ranks.device)

    def _policy(self, model: str) -> Policy:
        settings = self.config.learner
        policy = Policy(load_model(model, self._dtype), settings.logit_chunk_tokens, settings.gradient_checkpointing)
        if self._zero_stage == 3:
            # The policy uses this weight without calling the module that owns it.
            deepspeed.zero.register_external_parameter(policy, policy.lm_head.weight)
        return policy

    def _reference(self, model: str) -> Any:
        """The starting policy, frozen; partitioned over the ranks if the policy is."""
        reference = self._policy(model).eval().requires_grad_(False)
        if self._zero_stage == 3:
            return deepspeed.initialize(model=reference, config=self._engine_config)[0]
        return reference.to(self.ranks.device)


def deepspeed_config(learner: LearnerConfig, stage: int, dtype: torch.dtype, ranks: Ranks) -> dict[str, Any]:
    """DeepSpeed's configuration. `stage`: the ZeRO stage, from `learner.zero_stage` or the device's default."""
    # On one rank stage 2 partitions nothing, and copies each gradient once more than stage 1.
    stage = 1 if stage == 2 and ranks.size == 1 else stage
    low_precision = dtype == torch.bfloat16
    # DeepSpeed has no float32 gradient accumulation for bfloat16 weights without ZeRO.
    accumulated = "fp32" if stage > 0 or not low_precision else "bf16"
    return {
        # Micro-batches are formed by the learner, one forward each; these two sizes have no effect.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # engine.step() is the accumulation boundary: an update has as many micro-batches as its tokens need.
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if clips_in_optimizer(stage, dtype) else learner.max_grad_norm,
        # Below ZeRO 2, each gradient is added to its float32 buffer at once, and none waits in bfloat16.
        "bf16": {"enabled": low_precision, "immediate_grad_update": low_precision},
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": stage >= 2 and ranks.device.type == "cuda",
            # On several hosts, ZeRO 3 gathers weights for the backward pass within a host.
            "zero_hpz_partition_size": ranks.local_size if stage == 3 and ranks.local_size < ranks.size else 1,
        },
        # Precision of the sum over micro-batches, and of the reduction over ranks.
        "data_types": {"grad_accum_dtype": accumulated},
        "communication_data_type": accumulated,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def clips_in_optimizer(stage: int, dtype: torch.dtype) -> bool:
    """True for float32 without ZeRO: DeepSpeed would clip there, but does not report the gradient norm."""
    return stage == 0 and dtype == torch.float32
