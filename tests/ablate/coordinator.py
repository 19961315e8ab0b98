"""Run job folders with the local launcher and the stand-in for `icpo`: coordinator.py JOBS FOLDER ..."""

import sys
import time
from pathlib import Path

from icpo_cli.ablate.launch.local import LocalLauncher, shares
from icpo_cli.interrupt import StopSignal
from icpo_cli.runs.run_dir import Status
from icpo_cli.runs.study_dir import JobDir
from tests.ablate.jobs import JOB


def main(at_once: int, folders: list[Path]) -> int:
    with StopSignal() as stop, LocalLauncher(shares(at_once, uses_gpus=False), JOB) as launcher:
        launcher.begin([folder for folder in folders if not JobDir(folder).status().status.ended])
        while not all(standing.status.ended for standing in launcher.poll().values()):
            if stop.signal:
                launcher.stop(stop.signal)
                return 128 + stop.signal
            time.sleep(0.05)
        return int(any(standing.status is not Status.DONE for standing in launcher.poll().values()))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]))
