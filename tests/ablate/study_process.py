"""Run a study with the stand-in for `icpo`: study_process.py FOLDER ITERATIONS [probe] ARM[:FAILURE] ..."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.ablate.launch.local import LocalLauncher, shares
from icpo_cli.ablate.run import run_study
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.cli.ablate_display import StudyProgress
from icpo_cli.config.schema import Config, TrainConfig
from tests.ablate.jobs import JOB


def study_of(folder: Path, iterations: int, arms: Sequence[str]) -> Study:
    """`grpo:fails` is an arm whose runs fail: see standin.py."""
    base = Config(train=TrainConfig(iterations=iterations, device="cpu"))
    names = [arm.replace(":", " ") for arm in arms if arm != "probe"]
    return Study(
        name="schedule",
        about="",
        arms=tuple(Arm(name, {}, base, None if name == names[0] else names[0]) for name in names),
        seeds=(0,),
        probe=base if "probe" in arms else None,
        probe_run=None,
        folder=folder,
    )


def run(folder: Path, iterations: int, *arms: str) -> dict[str, Any]:
    """How the study ended."""
    with pytest.MonkeyPatch.context() as patch:
        # Curves take seconds, and test_record.py looks at them.
        patch.setattr("icpo_cli.ablate.run.draw_curves", lambda *study: [])
        ended = run_study(
            study_of(folder, iterations, arms),
            lambda at_once: LocalLauncher(shares(at_once or 1, uses_gpus=False), JOB),
            1,
            StudyProgress(sys.stderr, "schedule"),
        )
    states = {view.job.arm: str(view.status) for view in ended.jobs}
    return {"states": states, "stopped_by": ended.stopped_by, "not_done": len(ended.not_done)}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])))
