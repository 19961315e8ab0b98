import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.fork_server import Finished, ForkServer

if TYPE_CHECKING:
    from tests.report.stores import Made

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Two test processes run in parallel on tiny models: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")


LONGEST = (
    "end_to_end",
    "test_judge_server",
    "test_ranks",
    "test_weight_sync",
    "test_ui",
    "test_cpu_kernels",
    "ablate",
    "cli",
)
"""Substrings of the paths of slow test files. They start first, so that no worker waits for one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.nodeid.split("::")[0]
        return next((index for index, part in enumerate(LONGEST) if part in path), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture
def icpo(fork_server: ForkServer, tmp_path: Path) -> Callable[..., Finished]:
    """Run the real command in a separate process and an empty directory."""

    def run(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Finished:
        return fork_server.run("icpo_cli", arguments, cwd or tmp_path, env)

    return run


@pytest.fixture
def icpo_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run the real command in this process; for commands that start no engine."""
    from icpo_cli.__main__ import main

    def run(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Finished:
        monkeypatch.setattr(sys, "argv", ["icpo", *arguments])
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        with contextlib.chdir(cwd or Path.cwd()), pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Finished(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that one worker fills with `make` and all workers of the session read."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def shared(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = common / name, common / f"{name}.made"
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return shared


@pytest.fixture(scope="session")
def lab_model(shared_folder: Callable[..., Path]) -> Path:
    """A tiny model that adds single digits, mostly correctly."""
    from tests.lab import make_lab_model

    return shared_folder("lab-model", make_lab_model)


@pytest.fixture(scope="session")
def untrained_model(shared_folder: Callable[..., Path]) -> Path:
    """The lab model before its training, for tests that generate nothing."""
    from icpo_cli.models.lab import build
    from tests.lab import TINY

    return shared_folder("untrained-model", lambda folder: build(folder, replace(TINY, batches=1)))


@pytest.fixture(scope="session")
def lab_config(lab_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a run on the lab model that takes seconds: 6 prompts x 4 responses, 2 updates, KL term."""
    return write_config(lab_model, tmp_path_factory.mktemp("lab-config"))


@pytest.fixture(scope="session")
def unstarted_config(untrained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same configuration, for tests in which no run starts."""
    return write_config(untrained_model, tmp_path_factory.mktemp("unstarted-config"))


def write_config(model: Path, folder: Path) -> Path:
    sums = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "operators": ["+"]}
    source = {"source": "reasoning_gym", "task": "basic_arithmetic", "params": sums}
    config = {
        "name": "lab",
        "model": {"path": str(model)},
        "data": {"template": "plain", "train": {**source, "size": 60}, "heldout": {**source, "size": 20, "seed": 5}},
        "rollout": {
            "prompts_per_iteration": 6,
            "group_size": 4,
            "max_prompt_tokens": 32,
            "max_response_tokens": 16,
            "engine": {"kv_cache_gib": 1, "max_num_seqs": 32},
        },
        "learner": {"mini_batch_prompts": 3, "learning_rate": 3e-4, "kl_coef": 0.01, "micro_batch_tokens": 120},
        "train": {"iterations": 4, "eval_every": 2, "save_every": 2},
    }
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def empty_store(shared_folder: Callable[..., Path]) -> Path:
    """An MLflow database without runs; making its tables takes seconds, copying it does not."""
    from mlflow.tracking import MlflowClient

    def make(folder: Path) -> None:
        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments(max_results=1)

    return shared_folder("empty-store", make) / "mlflow.db"


@pytest.fixture
def store_here(empty_store: Path, tmp_path: Path) -> Path:
    """An empty MLflow database in tmp_path."""
    return Path(shutil.copy(empty_store, tmp_path))


@pytest.fixture(scope="session")
def made_store(shared_folder: Callable[..., Path], empty_store: Path) -> "Made":
    """A store with training runs, a study and evaluations, see tests/report/stores.py. Tests must not change it."""
    from tests.report.stores import Made, make_store

    def make(folder: Path) -> None:
        shutil.copy(empty_store, folder)
        (folder / "made.json").write_text(json.dumps(vars(make_store(folder)), default=str))

    folder = shared_folder("store", make)
    return Made(**{**json.loads((folder / "made.json").read_text()), "folder": folder})
