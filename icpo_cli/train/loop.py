"""The training loop: from prompts to new weights, as in the paper.

prompts -> groups of responses -> verdicts -> rewards -> log-probs -> confidence -> preference score
        -> final reward -> advantage -> clipped updates -> weights back to the sampler, checked

A group's advantage needs its own log-probs alone, and the first update is on-policy: a pass that gives log-probs can go
backward as soon as there are advantages. Where a method allows it the first update's passes do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import iteration_prompts
from icpo_cli.data.templates import TEMPLATES, plain_tokens
from icpo_cli.errors import RunFailed
from icpo_cli.grading.background import BackgroundGrader
from icpo_cli.grading.verifier import Grading, answers_of
from icpo_cli.learner.balance import balanced
from icpo_cli.learner.learner import Learner
from icpo_cli.learner.pack import sampled_logprob
from icpo_cli.objective.confidence import CONFIDENCE
from icpo_cli.objective.importance import truncated_importance
from icpo_cli.objective.methods import derive
from icpo_cli.objective.omega import omega_at
from icpo_cli.objective.selection import KEEP, Candidates
from icpo_cli.records import Batch, Group, Scores, Update, Verdict
from icpo_cli.rewards.reward import rewards_of
from icpo_cli.rewards.source import Credit, Sampled
from icpo_cli.rewards.sources import NEED_SELF_CERTAINTY, OF_RESPONSES, SOURCES
from icpo_cli.rng import SeedKey, sampling_seeds
from icpo_cli.rollout.weight_sync import WeightProbe, check_weight_sync
from icpo_cli.train.between import evaluate, save
from icpo_cli.train.metrics import machine_metrics, process_metrics, response_metrics, update_metrics
from icpo_cli.train.observer import PhaseClock
from icpo_cli.train.parts import Parts
from icpo_cli.train.round import Rewarded, Round, final_std_of, missing, round_of, trained_of
from icpo_cli.train.state import LoopState
from icpo_cli.train.table import response_table

PROBE_TOKENS = 256
SKIPS_THAT_END_A_RUN = 3


@dataclass(frozen=True)
class Iteration:
    """What one leaves to the next."""

    updates: list[Update]
    probe: WeightProbe
    final_std: float
    """Mean over its groups of the std of their final rewards."""


def train(parts: Parts, state: LoopState) -> LoopState:
    """Iterate from `state` to the end, or to the iteration in which a stop was asked for."""
    config = parts.config
    probe = sync_weights(parts, None)
    if state.iteration == 0:
        evaluate(parts, 0)
    stopping = parts.stop.requested(parts.ranks.most)
    while state.iteration < config.train.iterations and not stopping:
        iteration = state.iteration + 1
        done = train_iteration(parts, iteration, probe, state.final_std)
        probe, state = done.probe, _after(state, iteration, done, parts)
        last = iteration == config.train.iterations
        improved = False
        if last or iteration % config.train.eval_every == 0:
            accuracy = evaluate(parts, iteration)
            improved = accuracy is not None and (state.best_accuracy is None or accuracy > state.best_accuracy)
            if improved:
                state = replace(state, best_iteration=iteration, best_accuracy=accuracy)
        stopping = parts.stop.requested(parts.ranks.most)
        if last or improved or stopping or iteration % config.train.save_every == 0:
            save(parts, state)
    return state


def train_iteration(parts: Parts, iteration: int, probe: WeightProbe, usual_std: float | None) -> Iteration:
    """Rounds of sampling until there are groups enough, and the updates on them. `usual_std`: LoopState.final_std."""
    config, ranks, clock = parts.config, parts.ranks, PhaseClock(iteration, parts.observer, parts.stop)
    size = config.rollout.prompts_per_iteration // ranks.size
    rounds = [sample_round(parts, iteration, 0, usual_std, clock)]
    while len(rounds) < config.rollout.max_rounds and ranks.most(missing(rounds, size)) > 0:
        rounds.append(sample_round(parts, iteration, len(rounds), usual_std, clock))
    trained = trained_of(rounds, size)
    with clock.phase("update"):
        process_updates = _teach(parts.process_model, trained.outcomes)
        updates = parts.learner.update(trained.batch)
    with clock.phase("sync"):
        probe = sync_weights(parts, probe)

    table = ranks.gather_to_first(response_table(rounds, trained.had))
    if table is not None and parts.record is not None:
        rows = [row for part in table for row in part]
        omega = omega_at(iteration, config.method, config.train.iterations)
        metrics = response_metrics(rows, config.rollout.group_size, omega)
        metrics |= update_metrics(updates) | process_metrics(process_updates)
        metrics |= {"logprob_gap/probe": probe.gap, "groups/rounds": float(len(rounds))}
        metrics |= machine_metrics(clock.seconds, metrics["tokens/response"], ranks.device)
        parts.observer.iteration(iteration, parts.record.iteration(iteration, rows, metrics))
    return Iteration(updates, probe, final_std_of(rounds, ranks))


def sample_round(parts: Parts, iteration: int, number: int, usual_std: float | None, clock: PhaseClock) -> Round:
    """From prompts to advantages: round `number`, from 0, of the iteration."""
    config, ranks = parts.config, parts.ranks
    rollout, seed_key = config.rollout, SeedKey(config.seed, iteration)
    all_prompts = iteration_prompts(parts.prompts.train, config.seed, iteration, rollout.prompts_per_iteration, number)
    prompts = ranks.share(all_prompts)  # P
    seeds = ranks.share(sampling_seeds(config.seed, iteration, len(all_prompts), number))

    grading = Grading(config.reward.extract, config.reward.rule)
    with BackgroundGrader[int](parts.verifier) as grader:

        def grade(index: int, group: Group) -> None:
            grader.submit(index, answers_of(group.first(rollout.group_size)), grading)

        with clock.phase("rollout"):
            count = rollout.votes or rollout.group_size
            votes = parts.sampler.sample(prompts, seeds, count, rollout.temperature, grade)
        with clock.phase("reward"):
            verdicts = [of_group for _, of_group in sorted(grader.rest())]  # [P][G]
    with clock.phase("rollout"):  # whose slowest rank is waited for here
        votes, verdicts = _balanced(parts, votes, verdicts)
    groups = [group.first(rollout.group_size) for group in votes]
    with clock.phase("logprobs"):
        scores = None if learns_at_once(config) else _scores(parts, groups)
    with clock.phase("reward"):
        credit = _credit(parts, groups, votes, verdicts, scores, seed_key)
        think = TEMPLATES[config.data.template].think
        rewards = rewards_of(groups, verdicts, credit, think, config.reward, rollout.max_response_tokens, seed_key)
    rewarded = Rewarded(groups, rewards, credit)
    derived = partial(_derived, parts, iteration, usual_std)
    return derived(rewarded, scores) if scores is not None else _learned_at_once(parts, rewarded, derived, clock)


def _derived(parts: Parts, iteration: int, usual_std: float | None, rewarded: Rewarded, scores: Scores) -> Round:
    """From rewards and log-probs to advantages."""
    config, groups, credit = parts.config, rewarded.groups, rewarded.credit
    verif = torch.tensor([[each.verif for each in group] for group in rewarded.rewards], dtype=torch.float64)  # [P, G]
    confidence = CONFIDENCE[config.method.confidence](scores.logprob.double(), scores.mask)  # [P, G]
    omega = omega_at(iteration, config.method, config.train.iterations)
    derivation = derive(confidence, verif, omega, config.method, torch.tensor(credit.decided), parts.ranks.gathered)
    correct = torch.tensor([[each.verdict.correct for each in group] for group in rewarded.rewards])  # [P, G]
    candidates = Candidates(derivation.final_reward, correct, usual_std or 0.0)
    kept = KEEP[config.rollout.keep](candidates, config.rollout)  # [P]
    importance = _importance(parts, groups, scores)
    return Round(groups, rewarded.rewards, credit, scores, derivation, importance, kept.tolist())


def learns_at_once(config: Config) -> bool:
    """Whether an update's groups are those that were sampled, and an advantage hangs on no other group's log-probs."""
    as_sampled = config.rollout.keep == "all" and config.reward.source in OF_RESPONSES
    return as_sampled and config.method.advantage.baseline != "batch" and config.learner.old_logprobs == "learner"


def _learned_at_once(
    parts: Parts, rewarded: Rewarded, derived: Callable[[Rewarded, Scores], Round], clock: PhaseClock
) -> Round:
    """The groups derived, and those of the first update learned from by the very passes that scored them."""
    learner, groups = parts.learner, rewarded.groups
    first = parts.config.learner.mini_batch_prompts // parts.ranks.size
    done: list[tuple[Sequence[int], Round]] = []
    if later := range(first, len(groups)):
        with clock.phase("logprobs"):
            scores = learner.score(groups[first:])
        done.append((later, derived(rewarded.at(later), scores)))
    for each in clock.drawing("logprobs", learner.passes(groups[:first])):
        part = derived(rewarded.at(each.places), each.scores)
        with clock.phase("update"):
            each.learn(part.taught.advantage)
        done.append((each.places, part))
    return round_of(rewarded, done)


def _balanced(
    parts: Parts, votes: list[Group], verdicts: list[list[Verdict]]
) -> tuple[list[Group], list[list[Verdict]]]:
    """Of what all ranks sampled, this rank's part: as dear to compute as the others' parts."""
    config, ranks = parts.config, parts.ranks
    if ranks.size == 1:
        return votes, verdicts
    by_rank = ranks.gather(list(zip(votes, verdicts, strict=True)))
    sampled = [pair for pairs in zip(*by_rank, strict=True) for pair in pairs]  # in the order of the prompts
    costs = [parts.learner.cost(group.first(config.rollout.group_size)) for group, _ in sampled]
    own = balanced(costs, config.learner.mini_batch_prompts, ranks.size)[ranks.rank]
    return [sampled[place][0] for place in own], [sampled[place][1] for place in own]


def _scores(parts: Parts, groups: Sequence[Group]) -> Scores:
    """Of the old policy: by the learner's own pass, or as the sampler gave them."""
    if parts.config.learner.old_logprobs == "sampler":
        return parts.learner.scores_of_sampler(groups)
    return parts.learner.score(groups, parts.config.reward.source in NEED_SELF_CERTAINTY)


def _importance(parts: Parts, groups: Sequence[Group], scores: Scores) -> torch.Tensor | None:
    """[P, G, T] Where the learner's own old log-probs are to be weighed by how far the sampler's are from them."""
    learner = parts.config.learner
    if learner.importance_cap is None or learner.old_logprobs == "sampler":
        return None
    return truncated_importance(scores.logprob, sampled_logprob(groups), learner.importance_cap)


def _credit(
    parts: Parts,
    groups: Sequence[Group],
    votes: Sequence[Group],
    verdicts: Sequence[Sequence[Verdict]],
    scores: Scores | None,
    seed_key: SeedKey,
) -> Credit:
    """The answer's part of the rewards, from the method's source."""
    sampled = Sampled(
        groups=groups,
        votes=votes,
        verdicts=verdicts,
        scores=scores,
        verifier=parts.verifier,
        config=parts.config.reward,
        seed_key=seed_key,
        encode=partial(plain_tokens, parts.tokenizer),
        score=parts.learner.score,
        process_score=None if parts.process_model is None else parts.process_model.score,
    )
    return SOURCES[parts.config.reward.source](sampled)


def _teach(process_model: Learner | None, outcomes: Batch | None) -> list[Update]:
    """The updates of the model behind rewards by token; none without one."""
    return [] if process_model is None or outcomes is None else process_model.update(outcomes)


def sync_weights(parts: Parts, before: WeightProbe | None) -> WeightProbe:
    """The learner's weights to the sampler, and the proof that they arrived."""
    parts.sampler.load_weights(parts.learner.named_weights())
    tokens = parts.prompts.train[0].tokens[:PROBE_TOKENS]
    probe = WeightProbe(sampler=tuple(parts.sampler.probe(tokens)), learner=tuple(parts.learner.probe(tokens)))
    check_weight_sync(probe, before, parts.config.rollout.max_probe_gap)
    return probe


def _after(state: LoopState, iteration: int, done: Iteration, parts: Parts) -> LoopState:
    """The state past the iteration; too many skipped updates in a row end the run."""
    in_a_row = state.skipped_in_a_row
    for update in done.updates:
        in_a_row = in_a_row + 1 if update.skipped else 0
        if in_a_row == SKIPS_THAT_END_A_RUN:
            good = parts.checkpoints.last()
            raise RunFailed(
                f"iteration {iteration}: the loss or gradient of {in_a_row} updates in a row was not finite; "
                f"the last good checkpoint is {good or 'none: the run had not saved yet'}"
            )
    decay = parts.config.rollout.spread_decay
    usual = done.final_std if state.final_std is None else decay * state.final_std + (1 - decay) * done.final_std
    return replace(state, iteration=iteration, skipped_in_a_row=in_a_row, final_std=usual)
