"""Between iterations: evaluation and checkpoints."""

from dataclasses import replace

from icpo_cli.evaluate.table import result_text
from icpo_cli.train.checkpoint import PROCESS_MODEL, LoopState
from icpo_cli.train.parts import Parts


def evaluate(parts: Parts, iteration: int) -> float | None:
    """Benchmarks, and held-out accuracy in percent after `iteration` iterations; None without held-out questions."""
    for subset in parts.benchmarks:
        parts.observer.phase(iteration, f"eval {subset.task.name}")
        with parts.stop.interruptible():
            result = parts.evaluator.benchmark(iteration, subset)
        if parts.record is not None:
            parts.record.benchmark(iteration, result)
            parts.observer.note(f"after {iteration} iterations: {result_text(result)}")
    if not parts.prompts.heldout:
        return None
    parts.observer.phase(iteration, "eval")
    with parts.stop.interruptible():
        evaluation = parts.evaluator.heldout(iteration, parts.prompts.heldout)
    if parts.record is not None:
        parts.record.evaluation(iteration, evaluation)
        parts.observer.evaluation(iteration, evaluation)
    return evaluation.avg_at_k


def save(parts: Parts, state: LoopState) -> None:
    """A checkpoint; an unfinished one is none."""
    parts.observer.phase(state.iteration, "save")
    aside = parts.checkpoints.begin(state.iteration)
    parts.ranks.wait()
    parts.learner.save_model(aside)
    parts.learner.save_state(aside / "resume")
    if parts.process_model is not None:
        parts.process_model.save_state(aside / "resume" / PROCESS_MODEL)
    parts.ranks.wait()
    if parts.ranks.first:
        parts.tokenizer.save_pretrained(aside)
        parts.checkpoints.finish(aside, replace(state, ranks=parts.ranks.size))
    parts.ranks.wait()
