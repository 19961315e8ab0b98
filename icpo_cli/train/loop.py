"""The training loop: from prompts to new weights, in the order of the paper.

prompts -> groups of responses -> verdicts -> old log-probs -> rewards -> confidence -> preference score
        -> final reward -> advantage -> clipped updates -> weights synced to the sampler, and checked

If the rewards do not need the old log-probs, the forward of the first update computes them, and `update` asks for the
advantages of a micro-batch through the callback `advantage_of`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import TEMPLATES, PromptSet, iteration_prompts, plain_tokens
from icpo_cli.device import device_profile, peak_flops
from icpo_cli.distributed import Ranks
from icpo_cli.errors import RunFailed
from icpo_cli.evaluate.evaluator import Evaluator
from icpo_cli.evaluate.plan import Task
from icpo_cli.grading.background import BackgroundGrader
from icpo_cli.grading.verifier import Grading, Verifier, answers_of
from icpo_cli.interrupt import StopSignal
from icpo_cli.learner.balance import balance_by_cost
from icpo_cli.learner.learner import Learner
from icpo_cli.objective.omega import omega_at
from icpo_cli.records import Group, LogProbs, Update, Verdict
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.reward import rewards_of
from icpo_cli.rewards.source import SourceInput
from icpo_cli.rng import SeedKey, sampling_seeds
from icpo_cli.rollout.sampler import Sampler
from icpo_cli.rollout.weight_sync import WeightProbe, check_weight_sync
from icpo_cli.runs.checkpoints import Checkpoints, LoopState
from icpo_cli.train.metrics import (
    machine_metrics,
    process_metrics,
    response_metrics,
    response_table,
    rollout_metrics,
    update_metrics,
)
from icpo_cli.train.record import Observer, PhaseClock, RunRecord
from icpo_cli.train.round import (
    Round,
    UpdateBatch,
    derive_round,
    mean_final_std,
    missing,
    outcome_batch,
    select_for_update,
    update_batch,
)

PROBE_TOKENS = 256
MAX_SKIPPED_IN_A_ROW = 3


@dataclass(frozen=True)
class Trainer:
    """Everything one training process owns: engines, data, trackers. Its methods are the steps of an iteration."""

    config: Config
    ranks: Ranks
    prompts: PromptSet
    tasks: tuple[Task, ...]
    """Evaluated between iterations: benchmarks, then the held-out questions."""
    tokenizer: PreTrainedTokenizerBase
    sampler: Sampler
    verifier: Verifier
    evaluator: Evaluator
    learner: Learner
    process_model: Learner | None
    """The model behind token rewards; None if the method has none."""
    record: RunRecord | None
    """On rank 0 only."""
    checkpoints: Checkpoints
    observer: Observer
    stop: StopSignal

    def train(self, state: LoopState) -> LoopState:
        """Iterate from `state` to the last iteration, or until a stop is requested."""
        config = self.config
        probe = self.sync_weights(None)
        if state.iteration == 0:
            self.evaluate(0)
        stopping = self.stop.requested(self.ranks.all_reduce_max)
        while state.iteration < config.train.iterations and not stopping:
            state, probe = self.train_iteration(state, probe)
            iteration = state.iteration
            last = iteration == config.train.iterations
            improved = False
            if last or iteration % config.train.eval_every == 0:
                accuracy = self.evaluate(iteration)
                improved = accuracy is not None and (state.best_accuracy is None or accuracy > state.best_accuracy)
                if improved:
                    state = replace(state, best_iteration=iteration, best_accuracy=accuracy)
            stopping = self.stop.requested(self.ranks.all_reduce_max)
            if last or improved or stopping or iteration % config.train.save_every == 0:
                self.save(state)
        return state

    def train_iteration(self, state: LoopState, probe: WeightProbe) -> tuple[LoopState, WeightProbe]:
        """Sample rounds until there are enough groups, update on them, sync the weights, record."""
        config, ranks, iteration = self.config, self.ranks, state.iteration + 1
        clock = PhaseClock(iteration, self.observer, self.stop, ranks.device)
        omega = omega_at(iteration, config.method, config.train.iterations)

        def derive(sampled: Round, old: LogProbs) -> Round:
            return derive_round(config, sampled, old, omega, state.running_std, ranks.all_gather_cat)

        size = config.rollout.prompts_per_iteration // ranks.size
        rounds: list[Round] = []
        while len(rounds) < config.rollout.max_rounds and ranks.all_reduce_max(missing(rounds, size)) > 0:
            groups, votes, verdicts = self.sample(iteration, len(rounds), clock)
            old = self.old_logprobs(groups, clock) if needs_logprobs_first(config) else None
            with clock.phase("reward"):
                sampled = self.reward(iteration, groups, votes, verdicts, old)
                rounds.append(sampled if old is None else derive(sampled, old))

        selected = select_for_update(rounds, size)
        batch, outcomes = update_batch(rounds, selected), outcome_batch(rounds, selected)

        def advantage_of(indices: Sequence[int], old: LogProbs) -> Tensor:
            if batch.advantage is not None:
                return batch.advantage[indices]
            advantage = derive(rounds[0].select(indices), old).advantage
            assert advantage is not None
            return advantage

        with clock.phase("update"):
            process_updates = self.update_process_model(outcomes)
            old, updates = self.learner.update(batch.groups, advantage_of, batch.old)
        clock.flops = self.learner.update_flops(batch.groups, batch.old)
        if batch.old is None:
            rounds = [derive(rounds[0], old)]
        with clock.phase("sync"):
            probe = self.sync_weights(probe)
        statistics = update_metrics(updates) | process_metrics(process_updates)
        self.record_iteration(iteration, omega, rounds, selected, statistics | {"logprob_gap/probe": probe.gap}, clock)
        return self.next_state(state, updates, mean_final_std(rounds, ranks)), probe

    def sample(
        self, iteration: int, round_index: int, clock: PhaseClock
    ) -> tuple[list[Group], list[Group], list[list[Verdict]]]:
        """Groups of this rank for one round: those to train on, the same with all votes, and verdicts [P][G].

        Grading overlaps generation. Groups are then redistributed so that every rank has about equal compute cost.
        """
        config, ranks, rollout = self.config, self.ranks, self.config.rollout
        seed, count = config.seed, rollout.prompts_per_iteration
        prompts = ranks.shard(iteration_prompts(self.prompts.train, seed, iteration, count, round_index))  # P
        seeds = ranks.shard(sampling_seeds(seed, iteration, count, round_index))
        grading = Grading(config.reward.extract, config.reward.rule)
        with BackgroundGrader[int](self.verifier) as grader:
            group_finished = clock.start_round()

            def grade(index: int, group: Group) -> None:
                group_finished()
                grader.submit(index, answers_of(group.first(rollout.group_size)), grading)

            with clock.phase("rollout"):
                size = rollout.votes or rollout.group_size
                self.sampler.wake(self.learner.named_weights())  # it sleeps after an earlier round
                votes = self.sampler.sample(prompts, seeds, size, rollout.temperature, grade)
                self.sampler.sleep()
            with clock.phase("reward"):
                verdicts = [of_group for _, of_group in sorted(grader.rest())]  # [P][G]
        with clock.phase("rollout"):  # waits for the slowest rank
            votes, verdicts = self._balance(votes, verdicts)
        return [group.first(rollout.group_size) for group in votes], votes, verdicts

    def old_logprobs(self, groups: Sequence[Group], clock: PhaseClock) -> LogProbs:
        """Log-probs under the old policy: from a forward of the learner, or as the sampler returned them."""
        with clock.phase("logprobs"):
            if self.config.learner.old_logprobs == "sampler":
                return self.learner.sampler_logprobs(groups)
            source = REWARD_SOURCES[self.config.reward.source]
            return self.learner.logprobs(groups, source.needs_self_certainty)

    def reward(
        self,
        iteration: int,
        groups: Sequence[Group],
        votes: Sequence[Group],
        verdicts: Sequence[Sequence[Verdict]],
        old: LogProbs | None,
    ) -> Round:
        """R_verif of each response (Eq. 10), its answer part from the method's reward source."""
        config, key = self.config, SeedKey(self.config.seed, iteration)
        inputs = SourceInput(
            groups=groups,
            votes=votes,
            verdicts=verdicts,
            old=old,
            verifier=self.verifier,
            config=config.reward,
            seed_key=key,
            encode=partial(plain_tokens, self.tokenizer),
            logprobs=self.learner.logprobs,
            process_logprobs=None if self.process_model is None else self.process_model.logprobs,
        )
        output = REWARD_SOURCES[config.reward.source].compute(inputs)
        think = TEMPLATES[config.data.template].think
        limit = config.rollout.max_response_tokens
        return Round(groups, rewards_of(groups, verdicts, output, think, config.reward, limit, key), output)

    def update_process_model(self, outcomes: UpdateBatch | None) -> list[Update]:
        """The updates of the model behind token rewards; none without one."""
        if self.process_model is None or outcomes is None or outcomes.advantage is None:
            return []
        advantage = outcomes.advantage
        return self.process_model.update(outcomes.groups, lambda indices, _: advantage[indices], outcomes.old)[1]

    def sync_weights(self, before: WeightProbe | None) -> WeightProbe:
        """Load the learner's weights into the sampler, and check by a probe that they arrived."""
        self.sampler.load_weights(self.learner.named_weights())
        tokens = self.prompts.train[0].tokens[:PROBE_TOKENS]
        probe = WeightProbe(sampler=tuple(self.sampler.probe(tokens)), learner=tuple(self.learner.probe(tokens)))
        check_weight_sync(probe, before, self.config.rollout.max_probe_gap)
        return probe

    def record_iteration(
        self,
        iteration: int,
        omega: float,
        rounds: Sequence[Round],
        selected: Sequence[int],
        statistics: dict[str, float],
        clock: PhaseClock,
    ) -> None:
        """Gather the responses of all ranks; rank 0 stores them with the iteration's metrics."""
        gathered = self.ranks.gather((response_table(rounds, selected), clock.finished, clock.flops))
        if gathered is None or self.record is None:
            return
        tables, finished, flops = zip(*gathered, strict=True)
        rows = [row for part in tables for row in part]
        metrics = response_metrics(rows, self.config.rollout.group_size, omega)
        metrics |= statistics | {"groups/rounds": float(len(rounds))}
        peak = peak_flops(self.ranks.device, device_profile(self.config).dtype)
        metrics |= machine_metrics(clock.seconds, metrics["tokens/response"], sum(flops), self.ranks, peak)
        metrics |= rollout_metrics(finished)
        self.observer.iteration(iteration, self.record.iteration(iteration, rows, metrics))

    def next_state(self, state: LoopState, updates: Sequence[Update], final_std: float) -> LoopState:
        """The state after the next iteration. Raises RunFailed after too many skipped updates in a row.

        `final_std`: mean over the iteration's groups of the std of their final rewards.
        """
        iteration, skipped = state.iteration + 1, state.skipped_in_a_row
        for update in updates:
            skipped = skipped + 1 if update.skipped else 0
            if skipped == MAX_SKIPPED_IN_A_ROW:
                good = self.checkpoints.last()
                raise RunFailed(
                    f"iteration {iteration}: the loss or gradient of {skipped} updates in a row was not finite; "
                    f"the last good checkpoint is {good or 'none: the run had not saved yet'}"
                )
        decay = self.config.rollout.std_ema_decay
        before = state.running_std
        std = final_std if before is None else decay * before + (1 - decay) * final_std
        return replace(state, iteration=iteration, skipped_in_a_row=skipped, running_std=std)

    def evaluate(self, iteration: int) -> float | None:
        """Evaluate every task; returns the accuracy that selects the best checkpoint, in percent; None without one."""
        accuracy = None
        for task in self.tasks:
            self.observer.phase(iteration, f"eval {task.name}")
            with self.stop.interruptible():
                result = self.evaluator.evaluate(iteration, task)
            if self.record is not None:
                self.record.evaluation(iteration, result)
                self.observer.evaluation(iteration, result)
            if task.selects_checkpoint:
                accuracy = result.avg_at_k
        return accuracy

    def save(self, state: LoopState) -> None:
        """Write a checkpoint atomically: it exists only once it is complete."""
        self.observer.phase(state.iteration, "save")
        tmp = self.checkpoints.begin(state.iteration)
        self.ranks.barrier()
        self.learner.save_model(tmp.folder)
        self.learner.save_state(tmp.resume)
        if self.process_model is not None:
            self.process_model.save_state(tmp.process_model)
        self.ranks.barrier()
        if self.ranks.first:
            self.tokenizer.save_pretrained(tmp.folder)
            self.checkpoints.finish(tmp, replace(state, ranks=self.ranks.size))
        self.ranks.barrier()

    def _balance(self, votes: list[Group], verdicts: list[list[Verdict]]) -> tuple[list[Group], list[list[Verdict]]]:
        """Redistribute groups so that every rank has about equal compute cost."""
        config, ranks = self.config, self.ranks
        if ranks.size == 1:
            return votes, verdicts
        by_rank = ranks.all_gather(list(zip(votes, verdicts, strict=True)))
        sampled = [pair for pairs in zip(*by_rank, strict=True) for pair in pairs]  # in the order of the prompts
        costs = [self.learner.cost(group.first(config.rollout.group_size)) for group, _ in sampled]
        own = balance_by_cost(costs, config.learner.mini_batch_prompts, ranks.size)[ranks.rank]
        return [sampled[index][0] for index in own], [sampled[index][1] for index in own]


def needs_logprobs_first(config: Config) -> bool:
    """Whether old log-probs must be known before the update.

    If not, the forward of the first update computes them: every sampled group is trained on, rewards depend on the
    responses alone, and an advantage on no other group's log-probs.
    """
    if config.rollout.keep != "all" or REWARD_SOURCES[config.reward.source].needs_logprobs:
        return True
    return config.method.advantage.baseline == "batch" or config.learner.old_logprobs == "sampler"
