"""Past runs as they are read: from the sqlite file itself and through MLflow, whole, damaged and while others write."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.read import RunStore, open_store
from icpo_cli.track.sqlite_runs import SqliteRuns
from tests.report.stores import Made


@pytest.fixture
def database(made_store: Made, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copy(made_store.folder / "mlflow.db", tmp_path / "mlflow.db"))


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def through_mlflow(folder: Path) -> RunStore:
    from icpo_cli.track.mlflow_store import MlflowRuns

    return MlflowRuns(f"sqlite:///{folder}/mlflow.db")


def test_a_run_is_read_with_all_that_was_logged_of_it(made_store: Made) -> None:
    store = open_store(str(made_store.folder / "mlflow.db"))
    runs = store.runs()
    assert [run.id for run in runs[-3:]] == [made_store.icpo, made_store.grpo, made_store.study]  # newest first
    run = runs[-3]
    assert (run.name, run.experiment, run.status, run.parent) == ("icpo", "icpo", Status.DONE, made_store.study)
    assert run.params["method.name"] == "icpo" and run.params["rollout.group_size"] == "4"
    assert run.tags["data.fingerprint"] == "d" * 64 and not any(key.startswith("mlflow.") for key in run.tags)
    assert run.end_ms is not None and run.start_ms <= run.end_ms
    assert run.metrics["eval/heldout/avg_at_k"] == 65.0  # 13 of 20 right after the third iteration
    assert run.last_step == 3
    running = next(run for run in runs if run.id == made_store.running)
    assert (running.status, running.end_ms, running.last_step) == (Status.RUNNING, None, 2)
    history = store.history(made_store.icpo, ["eval/heldout/avg_at_k", "nothing"])
    assert history == {"eval/heldout/avg_at_k": ((0, 50.0), (1, 55.0), (2, 60.0), (3, 65.0))}
    path = store.artifact(made_store.icpo, "responses/iteration-00002.parquet")
    assert path is not None and path.is_file()
    assert store.artifact(made_store.icpo, "responses/iteration-00009.parquet") is None
    responses = [f"responses/iteration-0000{iteration}.parquet" for iteration in (1, 2, 3)]
    assert store.artifacts(made_store.icpo) == ["config.yaml", *responses]


def test_a_run_that_goes_on_again_has_not_ended(made_store: Made, database: Path) -> None:
    change(database, f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{made_store.icpo}'")
    for store in (open_store(str(database)), through_mlflow(database.parent)):
        ends = {run.id: run.end_ms for run in store.runs()}
        assert ends[made_store.icpo] is None and ends[made_store.grpo] is not None


def test_the_file_itself_and_mlflow_give_equal_records(made_store: Made, database: Path) -> None:
    """Also for values that are not finite, repeated points and deleted runs."""
    where = f"run_uuid = '{made_store.icpo}'"
    change(
        database,
        f"UPDATE latest_metrics SET value = 0, is_nan = 1 WHERE key = 'entropy' AND {where}",
        f"UPDATE latest_metrics SET value = -1.7976931348623157e308 WHERE key = 'omega' AND {where}",
        f"UPDATE metrics SET value = 1.7976931348623157e308 WHERE key = 'omega' AND step = 2 AND {where}",
        f"INSERT INTO metrics SELECT key, 7.5, timestamp + 1, run_uuid, step, is_nan FROM metrics "
        f"WHERE key = 'accuracy' AND step = 3 AND {where}",
        f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = '{made_store.failed}'",
    )
    straight, client = SqliteRuns(database), through_mlflow(database.parent)
    runs = straight.runs()
    assert runs == client.runs()
    assert made_store.failed not in [run.id for run in runs] and len(runs) == 8
    run = next(run for run in runs if run.id == made_store.icpo)
    assert not {"entropy", "omega"} & run.metrics.keys()
    names = [*run.metrics, "omega", "nothing"]
    history = straight.history(made_store.icpo, names)
    assert history == client.history(made_store.icpo, names)
    assert [step for step, _ in history["omega"]] == [1, 3]
    assert [value for step, value in history["accuracy"] if step == 3] == [7.5]
    assert straight.artifacts(made_store.icpo) == client.artifacts(made_store.icpo)
    for path in ("config.yaml", "responses", "nothing"):
        assert straight.artifact(made_store.icpo, path) == client.artifact(made_store.icpo, path)


def test_a_run_deleted_since_it_was_listed_has_nothing(made_store: Made) -> None:
    for store in (SqliteRuns(made_store.folder / "mlflow.db"), through_mlflow(made_store.folder)):
        assert store.history("0" * 32, ["entropy"]) == {}
        assert store.artifact("0" * 32, "config.yaml") is None
        assert store.artifacts("0" * 32) == []


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_reading_while_another_writes(journal: str, made_store: Made, database: Path) -> None:
    """A reader sees committed data only, does not block the writer, and sees new data at the next read."""
    store = SqliteRuns(database)
    with closing(sqlite3.connect(database, timeout=0)) as writer:
        writer.execute(f"PRAGMA journal_mode = {journal}")
        writer.execute("UPDATE params SET value = 'half' WHERE key = 'method.name'")
        assert {run.params["method.name"] for run in store.runs()} == {"icpo", "grpo"}
        writer.commit()
        assert {run.params["method.name"] for run in store.runs()} == {"half"}
        writer.execute("UPDATE params SET value = 'whole' WHERE key = 'method.name'")
        writer.commit()
    assert {run.params["method.name"] for run in store.runs()} == {"whole"}


def test_a_writer_killed_within_a_transaction_leaves_a_store_that_reads(database: Path) -> None:
    before = SqliteRuns(database).runs()
    code = (
        "import os, signal, sqlite3, sys\n"
        "writer = sqlite3.connect(sys.argv[1])\n"
        "writer.execute('PRAGMA cache_size = 2')  # so that pages reach the file before the commit\n"
        "writer.execute(\"UPDATE params SET value = value || 'half of a long transaction'\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    assert database.with_name("mlflow.db-journal").stat().st_size > 0
    assert SqliteRuns(database).runs() == before


def test_a_store_that_was_copied_with_its_artifacts(made_store: Made, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(made_store.folder, copy)
    change(copy / "mlflow.db", "UPDATE runs SET artifact_uri = 'file:///gone/' || run_uuid || '/artifacts'")
    found = SqliteRuns(copy / "mlflow.db").artifact(made_store.icpo, "config.yaml")
    assert found == copy / "mlartifacts" / made_store.icpo / "artifacts" / "config.yaml"


def test_artifacts_that_are_not_on_this_machine_are_brought_here(
    made_store: Made, database: Path, tmp_path: Path
) -> None:
    from icpo_cli.track.mlflow_store import download, remote_names

    uri, name = f"sqlite:///{made_store.folder}/mlflow.db", "responses/iteration-00001.parquet"
    straight = SqliteRuns(made_store.folder / "mlflow.db")
    assert remote_names(uri, made_store.icpo) == straight.artifacts(made_store.icpo)
    for path in (name, "config.yaml"):
        here = download(uri, made_store.icpo, path, tmp_path)
        assert here is not None and tmp_path in here.parents
        there = straight.artifact(made_store.icpo, path)
        assert there is not None and here.read_bytes() == there.read_bytes()
    assert download(uri, made_store.icpo, "responses/nothing", tmp_path) is None
    change(database, "UPDATE runs SET artifact_uri = 'nosuchscheme://host/' || run_uuid")
    with pytest.raises(UserError, match="cannot be read as an MLflow store"):
        SqliteRuns(database).artifact(made_store.icpo, "config.yaml")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "no such MLflow store: `icpo train` and `icpo eval` make one"),
    "no database": (lambda path: path.write_text("not a database, " * 100), "file is not a database"),
    "zero bytes": (lambda path: path.write_bytes(b""), "no such table: runs; if it is from another version of MLflow"),
    "another's": (
        lambda path: (path.unlink(), change(path, "CREATE TABLE runs (name TEXT)")),  # type: ignore[func-returns-value]
        "no such column: run_uuid; if it is from another version of MLflow",
    ),
    "damaged": (
        lambda path: change(path, "ALTER TABLE runs RENAME COLUMN status TO state"),
        "cannot be read as an MLflow store: no such column: status",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_store_that_cannot_be_read(name: str, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, says = SPOILT[name]
    spoil(database)
    monkeypatch.chdir(database.parent)
    for uri in (None, "sqlite:///mlflow.db"):
        with pytest.raises(UserError) as error:
            open_store(uri).runs()
        assert says in str(error.value) and str(error.value).startswith("mlflow.db: ")
        assert len(str(error.value).splitlines()) == 1
    assert database.exists() == (name != "missing")


def test_the_version_of_the_database_does_not_matter_if_it_has_the_columns(database: Path) -> None:
    before = SqliteRuns(database).runs()
    change(database, "UPDATE alembic_version SET version_num = '0584bdc529eb'")  # of MLflow 2
    assert SqliteRuns(database).runs() == before


def test_an_empty_store_has_no_runs(database: Path) -> None:
    change(database, *(f"DELETE FROM {table}" for table in ("metrics", "latest_metrics", "params", "tags", "runs")))
    assert SqliteRuns(database).runs() == through_mlflow(database.parent).runs() == []


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nowhere", "nowhere: no such MLflow store: give a database, a folder or a server's address"),
        ("sqlite:///nowhere.db", "nowhere.db: no such MLflow store"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9: cannot be read as an MLflow store"),
        ("gopher://x", "gopher://x: cannot be read as an MLflow store"),
    ],
)
def test_a_name_that_leads_nowhere(uri: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=says):
        open_store(uri).runs()
    assert list(tmp_path.iterdir()) == []
