"""Between iterations: evaluation and checkpoints."""

from dataclasses import asdict, replace

from icpo_cli.evaluate.table import result_text
from icpo_cli.train.parts import Parts
from icpo_cli.train.state import LoopState


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
    """Write a checkpoint atomically: it exists only once it is complete."""
    parts.observer.phase(state.iteration, "save")
    tmp = parts.checkpoints.begin(state.iteration)
    parts.ranks.wait()
    parts.learner.save_model(tmp.folder)
    parts.learner.save_state(tmp.resume)
    if parts.process_model is not None:
        parts.process_model.save_state(tmp.process_model)
    parts.ranks.wait()
    if parts.ranks.first:
        parts.tokenizer.save_pretrained(tmp.folder)
        stored = replace(state, ranks=parts.ranks.size)
        parts.checkpoints.finish(tmp, state.iteration, state.best_iteration, asdict(stored))
    parts.ranks.wait()
