"""The plan of a training run: counts, memory and duration; nothing is started and nothing downloaded.

The duration comes from earlier runs of the same sizes on this machine, else from a count of tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from icpo_cli.config.load import to_tree
from icpo_cli.config.schema import Config, SourceConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.grading.rules.strict import gold_problem
from icpo_cli.models.locate import architecture_of
from icpo_cli.models.memory import CARDS_GIB, CardFit, disk_gib, fit_card, host_gib, memory_gib
from icpo_cli.models.sizes import check_lengths
from icpo_cli.runs.run_dir import RunDir, runs_in
from icpo_cli.runs.study_dir import runs_of_studies

FLOPS_A_CORE = {"bfloat16": 120e9, "float32": 50e9}
"""FLOP/s per core of forward and backward on the x86-64 machine of development."""
STEP_SECONDS = 0.5
"""Fixed duration of an iteration or evaluation there, for any size of model."""
PAST_RUNS = 50
"""Number of the newest runs that are read."""


@dataclass(frozen=True)
class TrainPlan:
    """Counts of a complete run."""

    model: str
    parameters: int | None
    iterations: int
    responses_an_iteration: int
    """Sampled in one round, majority votes included."""
    responses: int
    rounds_most: int
    """Most sampling rounds of an iteration; each round samples `responses_an_iteration`."""
    updates_an_iteration: int
    updates: int
    questions: int | None
    """Training questions of the source; None for a source on the hub, because a plan downloads nothing."""
    heldout: int | None
    unusable_golds: int
    """Questions of these that training leaves out, as far as the gold answer's text shows."""
    response_tokens_most: int
    """Response tokens of one iteration if every response has the maximum length."""
    ranks: int
    cuda: bool
    memory_gib: dict[str, float] | None
    """Per rank, by part; None while the sizes of the model are unknown."""
    cards: dict[str, CardFit]
    """CUDA: whether a rank fits on cards of usual sizes, and on this machine's."""
    host_gib: float | None
    """Memory of all ranks on one host; with GPUs, while they load the model."""
    disk_gib: dict[str, float] | None
    """By part, at most."""


def plan(config: Config, ranks: int, cuda: bool = False, card_gib: float | None = None) -> TrainPlan:
    """`cuda`: plan for GPUs, whether or not this machine has any; `card_gib`: memory of this machine's.

    Raises UserError if prompt and response do not fit the model, or a source of questions is invalid.
    """
    architecture = architecture_of(config.model)
    if architecture is not None:
        check_lengths(config, architecture.max_position_embeddings)
    rollout = config.rollout
    responses = rollout.prompts_per_iteration * (rollout.votes or rollout.group_size)
    updates = rollout.prompts_per_iteration // config.learner.mini_batch_prompts
    sizes = ({} if card_gib is None else {"this": card_gib}) | CARDS_GIB if cuda else {}
    train, heldout = _gold_problems(config.data.train), _gold_problems(config.data.heldout)
    return TrainPlan(
        model=config.model.path,
        parameters=architecture.parameters if architecture else None,
        iterations=config.train.iterations,
        responses_an_iteration=responses,
        responses=responses * config.train.iterations,
        rounds_most=rollout.max_rounds,
        updates_an_iteration=updates,
        updates=updates * config.train.iterations,
        questions=_kept(train),
        heldout=_kept(heldout),
        unusable_golds=sum(problem is not None for problem in (train or []) + (heldout or [])),
        response_tokens_most=responses * rollout.max_rounds * rollout.max_response_tokens,
        ranks=ranks,
        cuda=cuda,
        memory_gib=memory_gib(config, architecture, ranks, cuda) if architecture else None,
        cards={name: fit_card(config, architecture, ranks, gib) for name, gib in sizes.items()} if architecture else {},
        host_gib=host_gib(config, architecture, ranks, cuda) * ranks if architecture else None,
        disk_gib=disk_gib(config, architecture) if architecture else None,
    )


def _gold_problems(source: SourceConfig | None) -> list[str | None] | None:
    """Per question, why its gold answer is unusable; None for no source or one on the hub.

    Raises UserError for an invalid source.
    """
    if source is None or source.source == "hub":
        return None
    questions = load_questions(source)
    return [None if source.answer_column is None else gold_problem(question.gold) for question in questions]


def _kept(problems: list[str | None] | None) -> int | None:
    return None if problems is None else problems.count(None)


@dataclass(frozen=True)
class Estimate:
    """Duration of one run from its first to its last evaluation, without engine start and checkpoints."""

    seconds: float | None
    basis: str
    """How it was estimated, as text."""


NOT_KNOWN = Estimate(None, "no earlier run with these sizes")


@dataclass(frozen=True)
class RunCost:
    """Sizes of a run and the time it took."""

    sizes: dict[str, Any]
    iteration_seconds: float
    evaluation_seconds: float


def estimate(config: Config, past: Sequence[RunCost], cores: int | None) -> Estimate:
    """Estimate a run. `cores`: CPU cores of this machine for the run; None if it runs on something else."""
    sizes = _sizes(to_tree(config))
    same = [run for run in past if run.sizes == sizes]
    if same:
        iteration = fmean(run.iteration_seconds for run in same)
        evaluation = fmean(run.evaluation_seconds for run in same)
        runs = "1 run" if len(same) == 1 else f"{len(same)} runs"
        basis = f"{iteration:.1f} s per iteration, measured in {runs} with these sizes"
        return Estimate(iteration * config.train.iterations + evaluation * evaluations(config), basis)
    architecture = architecture_of(config.model)
    if cores is None or architecture is None:
        return NOT_KNOWN
    rate = FLOPS_A_CORE[config.model.dtype] * cores
    steps = config.train.iterations + evaluations(config)
    seconds = 2 * architecture.parameters * _passes(config) / rate + STEP_SECONDS * steps
    speed = f"{rate / 1e9:.0f} GFLOP/s, {cores} core{'s' if cores > 1 else ''}"
    basis = f"counted, not measured: full-length responses at {speed}; an order of magnitude"
    return Estimate(seconds, basis)


def evaluations(config: Config) -> int:
    """Number of held-out evaluations: before the first iteration, every eval_every, and after the last."""
    every, iterations = config.train.eval_every, config.train.iterations
    return 1 + iterations // every + (iterations % every > 0)


def past_runs(output_dir: Path) -> list[RunCost]:
    """Costs of the newest runs here, single runs and runs of studies."""
    runs = [*runs_in(output_dir), *runs_of_studies(output_dir)]
    newest = sorted(runs, key=lambda run: run.journal.modified(), reverse=True)[:PAST_RUNS]
    return [cost for run in newest if (cost := _cost(run)) is not None]


def _cost(run: RunDir) -> RunCost | None:
    """None for a run without a complete iteration."""
    entries = [entry.metrics for entry in run.journal.entries()]
    iterations = [metrics["seconds/iteration"] for metrics in entries if "seconds/iteration" in metrics]
    if not iterations:
        return None
    # Not run.config(): an earlier version may have written it, and resolving 50 configurations takes seconds.
    text = run.config_file.read_text(encoding="utf-8")
    tree = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    names = ("seconds/eval_heldout", "seconds/eval")  # the second: of earlier versions
    return RunCost(_sizes(tree), fmean(iterations), _mean(m[name] for m in entries for name in names if name in m))


def _sizes(tree: dict[str, Any]) -> dict[str, Any]:
    """The settings that determine the cost of an iteration: sizes, model, data, and forward passes."""
    learner = tree["learner"]
    kept = ("mini_batch_prompts", "zero_stage", "micro_batch_tokens", "logit_chunk_tokens", "gradient_checkpointing")
    return {
        **{section: tree[section] for section in ("model", "data", "rollout")},
        **{key: learner[key] for key in kept},
        "reference": learner["kl_coef"] > 0,
        "old_logprobs": learner.get("old_logprobs", "learner"),  # earlier runs lack the key
        "device": tree["train"]["device"],
        "k": tree["eval"]["k"],
        "benchmarks": tree["eval"]["benchmarks"],
    }


def _passes(config: Config) -> float:
    """Upper bound of the tokens in all forward passes of a run; a backward pass counts as two."""
    rollout, learner = config.rollout, config.learner
    group = rollout.max_prompt_tokens + rollout.group_size * rollout.max_response_tokens
    sampled = rollout.max_prompt_tokens + (rollout.votes or rollout.group_size) * rollout.max_response_tokens
    # Log-probs of the old policy, of the reference, and the update with its backward pass.
    passes = (learner.old_logprobs == "learner") + (learner.kl_coef > 0) + 3 + learner.gradient_checkpointing
    trained = config.train.iterations * rollout.prompts_per_iteration * (sampled + group * passes)
    heldout = config.data.heldout
    questions = heldout.size if heldout is not None and heldout.source == "reasoning_gym" else 0
    response = rollout.max_prompt_tokens + rollout.max_response_tokens
    return trained + evaluations(config) * questions * (config.eval.k or 1) * response


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0
