"""SLURM settings, batch script, and missing installations. Tests with a real SLURM are in test_slurm.py."""

import shutil
from pathlib import Path

import pytest

from icpo_cli.ablate.launch import launcher_factory, slurm_script
from icpo_cli.ablate.launch.slurm import slurm_settings
from icpo_cli.ablate.study import Arm, Study
from icpo_cli.config.schema import Config, TrainConfig
from icpo_cli.errors import UserError

CONFIG = Config(train=TrainConfig(device="cpu"))


def study_of(folder: Path, arms: int = 2) -> Study:
    return Study("noise", "", tuple(Arm(str(a), {}, CONFIG, None) for a in range(arms)), (0, 1, 2), None, None, folder)


def test_the_script_is_an_array_that_saves_before_its_time_limit_and_is_requeued(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    pairs = ["partition=big", "time_minutes=90", "save_minutes=5", "gpus=8", "cpus=12", "memory_gib=64"]
    text = slurm_script(study_of(tmp_path), [*pairs, "extra.account=lab"], at_once=4)
    for line in (
        "--array=0-5%4",
        "--partition=big",
        "--time=90",
        "--signal=USR2@300",
        "--gpus-per-node=8",
        "--cpus-per-task=12",
        "--mem=64GB",
        "--account=lab",
        "--requeue",
    ):
        assert f"#SBATCH {line}" in text.splitlines()
    assert f"-m submitit.core._submit {tmp_path}" in text


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("partitoin=big", "--slurm partitoin=big: unknown key 'partitoin'; nearest: partition"),
        ("cpus", "--slurm cpus: not a KEY=VALUE"),
        ("cpus=none", "--slurm cpus=none: 'none' is not a whole number above 0"),
        ("time_minutes=0", "--slurm time_minutes=0: '0' is not a whole number above 0"),
        ("save_minutes=1440", "--slurm save_minutes=1440: must be under time_minutes, 1440"),
    ],
)
def test_an_invalid_setting_is_an_error(pair: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        slurm_settings([pair])
    assert str(refused.value) == message


def test_zero_gpus_are_allowed(tmp_path: Path) -> None:
    assert slurm_settings(["gpus=0"]).gpus == 0


def test_a_launcher_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)
    with pytest.raises(UserError, match="--launcher slurm: sbatch is not installed here; use --launcher local"):
        launcher_factory(study_of(tmp_path), "slurm", [])(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="--launcher slurm: submitit is not installed"):
        slurm_script(study_of(tmp_path), [], None)


def test_an_unknown_launcher_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--launcher: unknown launcher 'slrm'; nearest: slurm"):
        launcher_factory(study_of(tmp_path), "slrm", [])
    with pytest.raises(UserError, match="--slurm cpus=2: only with --launcher slurm"):
        launcher_factory(study_of(tmp_path), "local", ["cpus=2"])


def test_slurm_is_not_called_if_no_job_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda command: f"/nowhere/{command}")
    with launcher_factory(study_of(tmp_path), "slurm", [])(None) as launcher:
        launcher.begin([])
        assert launcher.poll() == {}
        assert launcher.finished
