"""Stand-in for `icpo` without an engine: `standin.py train CONFIG|--resume RUN --json` leaves the files of a run.

Counts iterations in a journal, saves after each, and stops on SIGTERM as a run does. The name of the configuration
selects a failure: "fails", "exits early", "dies once", "deaf". STANDIN_SECONDS is the length of an iteration, in runs
whose name contains STANDIN_SLOW.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import yaml

from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.journal import Journal, JournalEntry


def main(arguments: list[str]) -> int:
    resumed = "--resume" in arguments
    run = Path(arguments[arguments.index("--resume") + 1]) if resumed else None
    config = yaml.safe_load((run / "config.yaml" if run else Path(arguments[1])).read_text())
    name, iterations = config["name"], config["train"]["iterations"]
    if "unusable" in name:
        print("icpo: model.path: no such model", file=sys.stderr)
        return 2
    if run is None:
        run = Path(config["train"]["output_dir"]) / f"{time.time_ns():x}"
        run.mkdir()
        (run / "config.yaml").write_text(Path(arguments[1]).read_text())
    (run / "starts.jsonl").open("a").write(json.dumps(facts()) + "\n")
    journal = Journal(run / "journal.jsonl")
    saved = max((int(p.name[-5:]) for p in run.glob("checkpoints/iteration-*")), default=0)
    journal.truncate(saved)
    slow = os.environ.get("STANDIN_SLOW", "") in name
    seconds = float(os.environ.get("STANDIN_SECONDS", "0")) if slow else 0.0
    with StopSignal() as stop:
        for iteration in range(saved + 1, iterations + 1):
            time.sleep(seconds)
            if "dies once" in name and not resumed and iteration == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if "fails" in name and iteration == 2:
                print("some traceback\nicpo: iteration 2: the loss was not finite; log: there", file=sys.stderr)
                return 1
            if name.endswith("probe"):
                write_responses(run, iteration)
            journal.append(JournalEntry(iteration, 0, metrics(iteration)))
            (run / "checkpoints" / f"iteration-{iteration:05d}").mkdir(parents=True)
            if stop.signal and "deaf" not in name:
                return 128 + stop.signal
    done = iterations - 1 if "exits early" in name else iterations
    print(json.dumps({"run_id": run.name, "iterations": done, "eval": {}}))
    return 0


def write_responses(run: Path, iteration: int) -> None:
    """One question an iteration, with two responses: right, wrong, mixed, right, ..."""
    from icpo_cli.runs.parquet import write_table

    verdicts = [("correct", "correct"), ("wrong", "wrong"), ("correct", "wrong")][(iteration - 1) % 3]
    question = {"prompt_id": f"q{iteration}", "question": f"{iteration} + 1", "gold": str(iteration + 1)}
    rows = [
        {**question, "gold_kind": "number", "gold_choices": None, "response": place + 1, "verdict": verdict}
        for place, verdict in enumerate(verdicts)
    ]
    (run / "responses").mkdir(exist_ok=True)
    write_table(rows, run / "responses" / f"iteration-{iteration:05d}.parquet")


def metrics(iteration: int) -> dict[str, float]:
    return {
        "reward/verif": 0.1 * iteration,
        "accuracy": 0.5,
        "entropy": 1.0 / iteration,
        "omega": 0.25,
        "seconds/iteration": 2.0,
        "eval/heldout/avg_at_k": 50.0 + iteration,
    }


def facts() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "cores": sorted(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "arguments": sys.argv[1:],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
