"""Studies whose job folders are written by the tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from icpo_cli.ablate.study import Arm, Job, Study
from icpo_cli.config.load import load_config
from icpo_cli.runs.journal import Journal, JournalEntry

ITERATIONS = 8
FAIR = {"prompts": "aa", "order": "bb", "sampling_seeds": "cc", "noise_draws": "dd", "heldout": "ee"}
CONFIG = ("data.train.task=basic_arithmetic", f"train.iterations={ITERATIONS}")


def make_study(folder: Path, arms: Mapping[str, str | None], seeds: Sequence[int] = (0, 1, 2), **other: str) -> Study:
    """`arms`: what each is compared with."""
    config = load_config(CONFIG)
    return Study(
        name="toy",
        about="a study of toys",
        arms=tuple(Arm(name, {"method.name": name}, config, against) for name, against in arms.items()),
        seeds=tuple(seeds),
        probe=None,
        probe_run=other.get("probe_run"),
        folder=folder,
    )


def jobs(study: Study) -> list[Job]:
    return [
        Job(arm.name, seed, arm.config, study.folder / f"arm-{place}" / f"seed-{seed}")
        for seed in study.seeds
        for place, arm in enumerate(study.arms)
    ]


def job_of(study: Study, arm: str, seed: int) -> Job:
    return next(job for job in jobs(study) if (job.arm, job.seed) == (arm, seed))


def write_run(
    job: Job,
    accuracies: Mapping[int, float],
    iterations: int = ITERATIONS,
    run_id: str = "run0",
    bench: str = "heldout",
    input_parity: Mapping[str, str] | None = None,
) -> Path:
    """A run of so many iterations in the job's folder, evaluated after those of `accuracies` (percent)."""
    run = job.folder / run_id
    run.mkdir(parents=True)
    (job.folder / "config.yaml").touch()
    (run / "config.yaml").touch()
    journal = Journal(run / "journal.jsonl")
    for step in range(iterations + 1):
        if step:
            metrics = {"entropy": step / 10, "reward/verif": 0.5, "omega": 0.1 * step, "bonus/share": 0.2}
            journal.append(JournalEntry(step, 0, metrics | {"response_tokens/mean": 20.0 + job.seed}))
        if step in accuracies:
            prefix = f"eval/{bench}"
            journal.append(JournalEntry(step, 0, {f"{prefix}/avg_at_k": accuracies[step], f"{prefix}/stderr": 4.0}))
    if input_parity is not None:
        (run / "input_parity.json").write_text(json.dumps(input_parity))
    return run


def finish(job: Job, accuracies: Mapping[int, float], **how: object) -> None:
    """A job that is done."""
    run = write_run(job, accuracies, **how)  # type: ignore[arg-type]
    (job.folder / "outcome.json").write_text(json.dumps({"run_id": run.name, "iterations": ITERATIONS}))
