import errno
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from icpo_cli.config.load import load_config
from icpo_cli.errors import UserError
from icpo_cli.runs.files import write_text
from icpo_cli.track.mlflow_store import MlflowStore
from icpo_cli.track.tracker import Tracker


@pytest.fixture
def tracker(tmp_path: Path, store_here: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.chdir(tmp_path)
    return Tracker.create(load_config(["data.train.task=basic_arithmetic"]))


def points(tracker: Tracker, key: str) -> list[tuple[int, float]]:
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    return sorted((point.step, point.value) for point in client.get_metric_history(tracker.run_id, key))


def test_values_that_are_not_finite_are_counted_not_logged(tracker: Tracker) -> None:
    logged = tracker.log(1, {"loss": math.nan, "kl": math.inf, "reward/verif": 0.5})
    assert logged == {"reward/verif": 0.5, "nonfinite_metrics": 2.0}
    assert points(tracker, "reward/verif") == [(1, 0.5)]


def test_a_store_that_goes_away_costs_a_warning_and_gets_it_all_later(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    tracker.warn = warnings.append

    def away(*args: object) -> None:
        raise MlflowException("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowStore, "log_entries", away)
        tracker.log(1, {"loss": 1.0})
        tracker.log(2, {"loss": 2.0})
    assert len(warnings) == 2 and "2 records kept for later: no answer" in warnings[1]
    tracker.log(3, {"loss": 3.0})
    assert points(tracker, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_resumed_run_has_one_point_a_step(tracker: Tracker) -> None:
    for step in (1, 2, 3):
        tracker.log(step, {"loss": float(step), "seconds/update": step + 0.5})
    config = load_config(["data.train.task=basic_arithmetic"])
    resumed = Tracker.resume(config, tracker.run, 1)
    assert [entry.step for entry in resumed.entries()] == [1]
    for step in (2, 3, 4):
        resumed.log(step, {"loss": float(step), "seconds/update": 99.0})
    assert points(resumed, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert [step for step, _ in points(resumed, "seconds/update")] == [1, 2, 3, 4]
    assert [entry.step for entry in resumed.entries()] == [1, 2, 3, 4]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_table_is_stored_once_if_the_store_is_on_its_file_system(
    elsewhere: bool, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if elsewhere:

        def other_file_system(*args: object) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", other_file_system)
    for text in ("first", "again, after a resume"):
        table = tracker.run.responses_file(1)
        table.parent.mkdir(exist_ok=True)
        write_text(table, text)
        tracker.log_artifact(table)
    artifacts = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}").get_run(tracker.run_id).info.artifact_uri
    [artifact] = Path(artifacts.removeprefix("file://")).rglob("*.parquet")
    assert artifact.parts[-2:] == table.parts[-2:]
    assert artifact.samefile(table) != elsewhere and artifact.read_text() == text
    table.unlink()
    assert artifact.read_text() == text


def test_a_store_that_cannot_be_used_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="cannot be used"):
        MlflowStore.create("sqlite:////proc/nowhere/x.db", "icpo", "run")


def test_a_run_stands_under_its_parent_and_one_that_is_not_there_is_a_users_mistake(tracker: Tracker) -> None:
    child = Tracker.create(load_config(["data.train.task=basic_arithmetic", f"track.parent={tracker.run_id}"]))
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == tracker.run_id
    with pytest.raises(UserError, match=r"^track.parent: nosuchrun: no such run in mlflow.db$"):
        Tracker.create(load_config(["data.train.task=basic_arithmetic", "track.parent=nosuchrun"]))
    runs = client.search_runs([client.get_run(child.run_id).info.experiment_id])
    assert {run.info.run_id for run in runs} == {tracker.run_id, child.run_id}


def test_a_process_killed_while_it_makes_the_database_leaves_none(tmp_path: Path) -> None:
    code = "from icpo_cli.track.mlflow_store import MlflowStore; MlflowStore.create(None, 'icpo', 'run')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    )
    while not list(tmp_path.glob(".mlflow.db-*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
