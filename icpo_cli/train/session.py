"""A training run from its configuration to its result: build the Trainer, run the loop, close the records."""

import json
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from icpo_cli.config.load import diff, load_config
from icpo_cli.config.schema import Config
from icpo_cli.data.sources import selected_by
from icpo_cli.device import device_profile
from icpo_cli.distributed import Ranks, join, leave
from icpo_cli.errors import EXIT_USER_ERROR, EndedAtOnce, UserError
from icpo_cli.evaluate.evaluator import Evaluator
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.interrupt import StopSignal
from icpo_cli.learner.learner import Learner
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rollout.sampler import Sampler
from icpo_cli.runs.checkpoints import Checkpoint, LoopState
from icpo_cli.runs.files import write_text
from icpo_cli.runs.run_dir import Kind, RunDir, Status, find_run
from icpo_cli.track.tracker import Tracker
from icpo_cli.train.input_parity import input_parity
from icpo_cli.train.loop import Trainer
from icpo_cli.train.preflight import TrainInputs
from icpo_cli.train.record import Observer, RunRecord

MAY_CHANGE = (
    "train.save_every",
    "train.keep_checkpoints",
    "train.collective_timeout_seconds",
    "train.output_dir",
    "train.shared_start",
)
"""Settings that may change on resume: none of them changes a result."""


@dataclass(frozen=True)
class TrainResult:
    """Results of a training run."""

    run_id: str
    folder: Path
    iterations: int
    checkpoint: Path | None
    metrics: dict[str, float]
    evaluations: dict[int, dict[str, EvalResult]]
    """By iteration and task."""
    stopped_by: int
    """The signal that stopped the run early; 0 if it ran to its end."""


def resumed_config(run: str, arguments: Sequence[str]) -> tuple[Config, RunDir]:
    """The stored configuration of a run, and the run. Raises UserError.

    Files and key=value given with --resume must agree with it, except for settings that change no result.
    """
    folder = find_run(Path(load_config(arguments).train.output_dir), run, "--resume")
    stored, config = folder.config(), folder.config(arguments)
    changed = {key: values for key, values in diff(stored, config).items() if not key.startswith(MAY_CHANGE)}
    if changed:
        key, (old, new) = next(iter(changed.items()))
        more = f" (and {len(changed) - 1} more keys)" if len(changed) > 1 else ""
        raise UserError(
            f"--resume {run}: {key} was {old} in the run, is {new} now{more}; start a new run without --resume"
        )
    return config, folder


def run_training(
    config: Config, prepared: TrainInputs, resumed: RunDir | None, watch: Callable[[RunDir, Ranks], Observer]
) -> TrainResult:
    """Train in this process, one rank of the run. `watch` is called once the run's folder is known.

    Raises UserError before an engine starts, RunFailed afterwards; the run's status records every failure.
    """
    profile = device_profile(config)
    ranks = join(profile.backend, profile.type, config.train.collective_timeout_seconds)
    try:
        checkpoint = resumed.checkpoint() if resumed is not None else None
        state = _state(checkpoint)
        tracker = _tracker(config, resumed, state if checkpoint else None) if ranks.first else None
        run = RunDir(Path(ranks.broadcast(str(tracker.run.path.resolve()) if tracker else None)))
        with _recorded(tracker):
            _check_shared(run, ranks)
        observer = watch(run, ranks)
        with StopSignal(observer.stopping, keep_records=True) as stop, _recorded(tracker):
            if tracker is not None:
                tracker.warn = observer.note
                tracker.describe(Kind.TRAIN, config, _facts(config, prepared, profile.type, ranks))
                _record_input_parity(config, prepared, tracker)
                observer.note(f"run {tracker.run_id} in {run.path}")
                if checkpoint is not None and state.ranks != ranks.size:
                    observer.note(f"resumed on {_ranks_text(ranks.size)}; until now it ran on {state.ranks}")
                _report_inputs(config, prepared, observer)
            record = RunRecord(tracker, prepared.tasks) if tracker else None
            checkpoints = run.checkpoints(config.train.keep_checkpoints)
            if ranks.first:
                checkpoints.clear_unfinished()
            ranks.barrier()
            if state.iteration == config.train.iterations:
                observer.note(f"this run is complete: {state.iteration} iterations")
            else:
                prepared.verifier.start()  # while the engines load
                with _engines(config, prepared, checkpoint, ranks) as (learner, process_model, sampler):
                    trainer = Trainer(
                        config=config,
                        prompts=prepared.prompts,
                        tasks=prepared.tasks,
                        tokenizer=prepared.tokenizer,
                        sampler=sampler,
                        verifier=prepared.verifier,
                        evaluator=Evaluator(config, prepared.model, sampler, prepared.verifier, ranks, observer.note),
                        learner=learner,
                        process_model=process_model,
                        ranks=ranks,
                        record=record,
                        checkpoints=checkpoints,
                        observer=observer,
                        stop=stop,
                    )
                    state = trainer.train(state)
            # A stop request in the last iteration changes nothing: the run is complete.
            stopped_by = stop.signal if state.iteration < config.train.iterations else 0
            if tracker is not None:
                tracker.end(Status.STOPPED if stopped_by else Status.DONE)
        last = checkpoints.last()
        return TrainResult(
            run_id=run.id,
            folder=run.path,
            iterations=state.iteration,
            checkpoint=last.folder if last else None,
            metrics=record.metrics if record else {},
            evaluations=record.evaluations if record else {},
            stopped_by=stopped_by,
        )
    finally:
        prepared.verifier.close()
        leave()


@contextmanager
def _engines(
    config: Config, prepared: TrainInputs, checkpoint: Checkpoint | None, ranks: Ranks
) -> Iterator[tuple[Learner, Learner | None, Sampler]]:
    """Learner, process model if any, then sampler: vLLM joins the process group that DeepSpeed created."""
    from icpo_cli.learner.deepspeed_learner import DeepSpeedLearner
    from icpo_cli.objective.loss import policy_loss
    from icpo_cli.objective.process import process_loss
    from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler

    profile, model = device_profile(config), str(prepared.model)
    learner = DeepSpeedLearner(config, model, profile, ranks, policy_loss(config))
    process_model = None
    if REWARD_SOURCES[config.reward.source].needs_process_model:
        own = process_model_config(config)
        process_model = DeepSpeedLearner(own, model, profile, ranks, process_loss(own))
    if checkpoint is not None:
        learner.load_state(checkpoint.resume)
        if process_model is not None:
            process_model.load_state(checkpoint.process_model)
    sampler = VLLMSampler(EngineSpec.of_rollout(config), model, config.model.dtype, profile, ranks.size)
    try:
        yield learner, process_model, sampler
    finally:
        # vLLM destroys the process group on close, so it is closed last.
        learner.close()
        if process_model is not None:
            process_model.close()
        sampler.close()


def process_model_config(config: Config) -> Config:
    """The learner's settings for the process model: its own optimizer settings, and always a reference model."""
    process, learner = config.reward.process, config.learner
    own = replace(
        learner,
        learning_rate=process.learning_rate,
        weight_decay=learner.weight_decay if process.weight_decay is None else process.weight_decay,
        max_grad_norm=process.max_grad_norm or learner.max_grad_norm,
        kl_coef=1.0,
    )
    return replace(config, learner=own)


@contextmanager
def _recorded(tracker: Tracker | None) -> Iterator[None]:
    """Write the run's final status to MLflow if the block raises."""
    try:
        yield
    except BaseException as error:
        if tracker is not None:
            tracker.end(Status.STOPPED if isinstance(error, EndedAtOnce) else Status.FAILED)
        raise


def _check_shared(run: RunDir, ranks: Ranks) -> None:
    """End all ranks, with one UserError on rank 0, if the run's folder is not the same on every host."""
    missing = ranks.all_gather(None if run.exists() else socket.gethostname())
    by_host = [f"{host} (rank {rank})" for rank, host in enumerate(missing) if host is not None]
    if not by_host:
        return
    if not ranks.first:
        time.sleep(5)  # a launcher ends rank 0 once another rank has ended: rank 0 prints first
        raise SystemExit(EXIT_USER_ERROR)
    raise UserError(
        f"train.output_dir: {run.path} does not exist on {', '.join(by_host)}: all hosts need the same shared folder"
    )


def _state(checkpoint: Checkpoint | None) -> LoopState:
    if checkpoint is None:
        return LoopState()
    if not checkpoint.has_state():
        raise UserError(f"--resume: {checkpoint.resume} has no state in safetensors: an earlier version wrote it")
    return checkpoint.state()


def _ranks_text(count: int) -> str:
    return "1 rank" if count == 1 else f"{count} ranks"


def _tracker(config: Config, resumed: RunDir | None, state: LoopState | None) -> Tracker:
    """`state`: that of the checkpoint to resume from; None: from the start."""
    if resumed is None:
        return Tracker.create(config)
    return Tracker.resume(config, resumed, -1 if state is None else state.iteration)


def _facts(config: Config, prepared: TrainInputs, device: str, ranks: Ranks) -> dict[str, str]:
    """Facts of the run that its configuration does not contain, for MLflow."""
    import torch

    prompts = prepared.prompts
    name = torch.cuda.get_device_name(ranks.device) if device == "cuda" else platform.processor() or platform.machine()
    return {
        "data.fingerprint": prompts.fingerprint,
        "data.selected_by": selected_by(config.data.train) or "none",
        "data.train_prompts": str(len(prompts.train)),
        "data.heldout_prompts": str(len(prompts.heldout)),
        "data.dropped_too_long": str(prompts.too_long),
        "data.dropped_also_heldout": str(prompts.also_heldout),
        "data.dropped_unusable_gold": str(len(prompts.unusable)),
        "data.golds_unmoved": str(prepared.golds_unmoved),
        "verifier.version": prepared.verifier.version,
        "device.type": device,
        "device.name": name,
        "device.ranks": str(ranks.size),
    }


def _record_input_parity(config: Config, prepared: TrainInputs, tracker: Tracker) -> None:
    """Write the hashes into the run's folder and, as tags input_parity.*, into MLflow."""
    hashes = input_parity(config, prepared.prompts)
    path = tracker.run.input_parity_file
    write_text(path, json.dumps(hashes, indent=2))
    tracker.tag({f"input_parity.{name}": value for name, value in hashes.items()})
    tracker.log_artifact(path)


def _report_inputs(config: Config, prepared: TrainInputs, observer: Observer) -> None:
    prompts = prepared.prompts
    text = f"{len(prompts.train)} training prompts, {len(prompts.heldout)} held out"
    if prompts.too_long:
        text += f"; {prompts.too_long} dropped: longer than rollout.max_prompt_tokens"
    if prompts.also_heldout:
        text += f"; {prompts.also_heldout} dropped: equal to a held-out question"
    if prompts.unusable:
        some = "; ".join(prompts.unusable[:3])
        text += f"; {len(prompts.unusable)} left out: their gold answer cannot be compared with ({some})"
    if config.reward.control == "shuffled_golds":
        text += f"; each graded by another one's gold answer, {prepared.golds_unmoved} of which have the same text"
    observer.note(text)
    for warning in prepared.warnings:
        observer.note(f"warning: {warning}")
