"""Process that runs one job of a study to its end: `python -m icpo_cli.ablate.job FOLDER` (files: runs/study_dir.py).

Killed at any point, it can be started again in the same way and resumes from the run's newest checkpoint.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import yaml

from icpo_cli.interrupt import SIGNALS, StopSignal, end_with_parent
from icpo_cli.runs.files import locked, publish
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JobDir

ICPO = (sys.executable, "-m", "icpo_cli")
JOB = (sys.executable, "-m", "icpo_cli.ablate.job")
"""Command of this module."""
DONE, FAILED, ALREADY_RUNNING = 0, 1, 75
STOPPED = tuple(128 + number for number in SIGNALS)
"""Exit statuses of a job that stopped on a signal and saved."""

POLL_SECONDS = 0.2
LOG_TAIL_BYTES = 65536
PR_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2)."""


def main(arguments: Sequence[str], icpo: Sequence[str] = ICPO) -> int:
    """Exit status: 0 done, 1 failed, 75 already running, 143 or 130 stopped by SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m icpo_cli.ablate.job")
    parser.add_argument("folder", type=Path, help="of the job, with its configuration")
    parser.add_argument("--ranks", type=int, default=1, help="processes of the run, one per GPU")
    parser.add_argument("--parent", type=int, help="id of the starting process; save and stop when it ends")
    parser.add_argument("--wait", action="store_true", help="wait for an earlier process of the job to end")
    options = parser.parse_args(arguments)
    job = JobDir(options.folder)
    if not job.config_file.is_file():
        parser.error(f"{job.path}: contains no {job.config_file.name}")
    with StopSignal() as stop, ExitStack() as held:
        lock = _lock(job, held)
        if lock is None:
            if not options.wait:
                print(f"{job.path}: this job is running already", file=sys.stderr)
                return ALREADY_RUNNING
            print(f"{job.path}: waiting for an earlier process of this job to end", file=sys.stderr)
            while (lock := _lock(job, held)) is None:
                if stop.signal or _orphaned(options.parent):
                    return 128 + (stop.signal or signal.SIGTERM)
                time.sleep(POLL_SECONDS)
        if job.status().status is Status.DONE:
            return DONE
        job.failure_file.unlink(missing_ok=True)
        return _run(job, [*icpo, *train_arguments(job, options.ranks)], options.parent, lock, stop)


def train_arguments(job: JobDir, ranks: int) -> list[str]:
    """Arguments of the `icpo` command that starts or resumes the job's run."""
    run = job.resumable_run()
    what = [str(job.config_file)] if run is None else ["--resume", str(run.path)]
    return ["train", *what, *(["--nproc", str(ranks)] if ranks > 1 else []), "--json"]


def _lock(job: JobDir, held: ExitStack) -> int | None:
    """The descriptor of the job's lock; None while another process has it."""
    try:
        return held.enter_context(locked(job.lock))
    except BlockingIOError:
        return None


def _orphaned(parent: int | None) -> bool:
    return parent is not None and os.getppid() != parent


def _run(job: JobDir, command: Sequence[str], parent: int | None, lock: int, stop: StopSignal) -> int:
    """Run the command to its end and write the file that records how it ended."""
    tmp = job.outcome_file.with_suffix(".tmp")
    # Orphaned processes of a killed run become children of this process, which kills them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tmp.open("wb") as document, job.log.open("ab") as log:
        began = log.tell()
        # A new session: a signal to the process group reaches the run once, through this process.
        # The run holds the lock too: while it still saves after this process was killed, no second one can start.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=document,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock],
            preexec_fn=partial(end_with_parent, os.getpid()),  # this process has no threads
        )
        sent, status = _watch(process, parent, stop)
        _kill_children()
    if status == 0:
        reason = _unfinished(job, tmp)
        if reason is None:
            publish(tmp, job.outcome_file)
            return DONE
    elif status in STOPPED:
        return status
    elif sent and status == -sent:  # before the run had anything to save
        return 128 + sent
    else:
        reason = _last_message(job.log, began, status)
    job.failure_file.write_text(f"{reason}\n", encoding="utf-8")
    return FAILED


def _watch(process: subprocess.Popen[bytes], parent: int | None, stop: StopSignal) -> tuple[int, int]:
    """The signal that was sent to the run, 0 for none, and its exit status, negative for a signal.

    A signal is sent when this process gets one, and when the parent is gone. After both, the run ends at once.
    """
    sent = count = 0
    while (status := process.poll()) is None:
        reasons = bool(stop.signal) + _orphaned(parent)
        if reasons > count:
            sent, count = stop.signal or signal.SIGTERM, reasons
            process.send_signal(sent)
        time.sleep(POLL_SECONDS)
    return sent, status


def _unfinished(job: JobDir, document: Path) -> str | None:
    """Why a run with exit status 0 does not complete the job; None if it does."""
    planned = yaml.safe_load(job.config_file.read_text(encoding="utf-8"))["train"]["iterations"]
    done = json.loads(document.read_text(encoding="utf-8"))["iterations"]
    return None if done == planned else f"ended after {done} of {planned} iterations"


def _last_message(log: Path, began: int, status: int) -> str:
    """The last message of a failed run, in one line."""
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    with log.open("rb") as file:
        file.seek(max(began, log.stat().st_size - LOG_TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("icpo: ") for line in lines if line.startswith("icpo: ")]
    last = (errors or lines or [""])[-1]
    return last if errors else f"{how}{': ' if last else ''}{last}; log: {log}"


def _kill_children() -> None:
    for process in psutil.Process().children(recursive=True):
        process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
