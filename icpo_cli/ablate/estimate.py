"""How long a run will take, and what says so: runs of the same sizes made here before, else a count of tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from icpo_cli.config.load import to_tree
from icpo_cli.config.schema import Config
from icpo_cli.models.locate import architecture_of
from icpo_cli.track.journal import Journal

FLOPS_A_CORE = {"bfloat16": 120e9, "float32": 50e9}
"""What a model's forward and backward reach on a core of the x86-64 machine that icpo is developed on."""
STEP_SECONDS = 0.5
"""Of an iteration or evaluation there, however small the model."""
PAST_RUNS = 50
"""The newest that are looked at."""
PROBE_AND_JOBS = ("*/probe/*/journal.jsonl", "*/*/seed-*/*/journal.jsonl")
"""Of the runs of studies, in the folder of studies."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one run from its first evaluation to its last; starting engines and saving come on top."""

    seconds: float | None
    basis: str
    """In words."""


NOT_KNOWN = Estimate(None, "no run of these sizes has been made here")


@dataclass(frozen=True)
class PastRun:
    """What a run took."""

    sizes: dict[str, Any]
    iteration_seconds: float
    evaluation_seconds: float


def estimate(config: Config, past: Sequence[PastRun], cores: int | None) -> Estimate:
    """`cores`: of this machine, that the run will have to itself; None where it will run on something else."""
    sizes = _sizes(to_tree(config))
    same = [run for run in past if run.sizes == sizes]
    if same:
        iteration = fmean(run.iteration_seconds for run in same)
        evaluation = fmean(run.evaluation_seconds for run in same)
        runs = "1 run" if len(same) == 1 else f"{len(same)} runs"
        basis = f"{iteration:.1f} s an iteration, measured in {runs} of these sizes"
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
    """Of the held-out questions in a run: before the first iteration, every eval_every, and after the last."""
    every, iterations = config.train.eval_every, config.train.iterations
    return 1 + iterations // every + (iterations % every > 0)


def past_runs(output_dir: Path, studies: Path) -> list[PastRun]:
    """The newest runs made here, by themselves or in studies."""
    journals = [*output_dir.glob("*/journal.jsonl"), *(path for form in PROBE_AND_JOBS for path in studies.glob(form))]
    newest = sorted(journals, key=lambda path: path.stat().st_mtime, reverse=True)[:PAST_RUNS]
    return [run for path in newest if (run := _past_run(path)) is not None]


def _past_run(journal: Path) -> PastRun | None:
    """None for one without a whole iteration."""
    entries = [entry.metrics for entry in Journal(journal).entries()]
    iterations = [metrics["seconds/iteration"] for metrics in entries if "seconds/iteration" in metrics]
    config = journal.with_name("config.yaml")
    if not iterations or not config.is_file():
        return None
    tree = yaml.load(config.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return PastRun(_sizes(tree), fmean(iterations), _mean(m["seconds/eval"] for m in entries if "seconds/eval" in m))


def _sizes(tree: dict[str, Any]) -> dict[str, Any]:
    """Of a configuration, what its iterations' cost hangs on: sizes, model, data, and which passes are made."""
    learner = tree["learner"]
    kept = ("mini_batch_prompts", "zero_stage", "micro_batch_tokens", "logit_chunk_tokens", "gradient_checkpointing")
    return {
        **{section: tree[section] for section in ("model", "data", "rollout")},
        **{key: learner[key] for key in kept},
        "reference": learner["kl_coef"] > 0,
        "old_logprobs": learner.get("old_logprobs", "learner"),  # which runs of before the setting took
        "device": tree["train"]["device"],
        "k": tree["eval"]["k"],
        "benchmarks": tree["eval"]["benchmarks"],
    }


def _passes(config: Config) -> float:
    """Tokens of all forwards of a run at most, a backward counted as two."""
    rollout, learner = config.rollout, config.learner
    group = rollout.max_prompt_tokens + rollout.group_size * rollout.max_response_tokens
    sampled = rollout.max_prompt_tokens + (rollout.votes or rollout.group_size) * rollout.max_response_tokens
    # The old policy's log-probs, the reference's, and the update with its backward.
    passes = (learner.old_logprobs == "learner") + (learner.kl_coef > 0) + 3 + learner.gradient_checkpointing
    trained = config.train.iterations * rollout.prompts_per_iteration * (sampled + group * passes)
    heldout = config.data.heldout
    questions = heldout.size if heldout is not None and heldout.source == "reasoning_gym" else 0
    response = rollout.max_prompt_tokens + rollout.max_response_tokens
    return trained + evaluations(config) * questions * (config.eval.k or 1) * response


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0
