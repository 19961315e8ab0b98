import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from icpo_cli.ablate import run as run_module
from icpo_cli.ablate.run import recorded
from icpo_cli.ablate.study import Study, jobs_of
from icpo_cli.ablate.table import table_document
from icpo_cli.errors import UserError
from tests.ablate.studies import FAIR, finish, make_study, write_run


@pytest.fixture
def study(tmp_path: Path, store_here: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return make_study(Path("studies") / "toy-1234", {"grpo": None, "icpo": "grpo"}, seeds=(0, 1))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take seconds, and one test looks at them."""
    monkeypatch.setattr(run_module, "draw_curves", lambda result: [])


def client() -> MlflowClient:
    return MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")


def run_of(run_id: str) -> Run:
    return client().get_run(run_id)


def finish_all(study: Study) -> None:
    for job in jobs_of(study, "parent"):
        finish(job, {0: 20.0, 8: 40.0 + job.seed}, input_parity=FAIR)


def test_a_study_is_a_run_with_its_table_and_curves(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with recorded(study, print) as record:
        assert run_of(record.run_id).info.status == "RUNNING"
        assert not record.refresh().benches
        finish_all(study)
        outcome = record.refresh()
    run = run_of(record.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "toy")
    assert run.data.tags["study.seeds"] == "0, 1" and run.data.tags["study.jobs_done"] == "4 of 4"
    assert json.loads(run.data.tags["study.arms"])["icpo"] == {"method.name": "icpo"}
    assert "code.version" in run.data.tags
    assert run.data.params["train.iterations"] == "8" and "seed" not in run.data.params
    names = {artifact.path for artifact in client().list_artifacts(record.run_id)}
    assert names == {"table.md", "table.csv", "input_parity.md", "result.json", "curves"}
    pictures = {artifact.path for artifact in client().list_artifacts(record.run_id, "curves")}
    assert {"curves/all.png", "curves/all.pdf", "curves/entropy.png"} <= pictures
    stored = Path(client().download_artifacts(record.run_id, "result.json")).read_text()
    document = json.loads(json.dumps(outcome.document()))
    assert json.loads(stored) == document | {"table": table_document(outcome)}
    assert json.loads(stored)["run_id"] == record.run_id
    assert "40.5 ± 0.5" in (study.folder / "table.md").read_text()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("undrawn")
def test_a_resumed_study_has_the_same_mlflow_run(study: Study) -> None:
    with recorded(study, print) as record:
        write_run(record.jobs[0], {0: 20.0}, iterations=3)
    assert run_of(record.run_id).info.status == "KILLED"  # it was left with jobs that can go on
    more = replace(study, seeds=(1, 2))
    with recorded(more, print) as again:
        assert again.run_id == record.run_id
        assert run_of(again.run_id).info.status == "RUNNING"
        finish_all(more)
    assert run_of(record.run_id).info.status == "FINISHED"
    assert run_of(record.run_id).data.tags["study.seeds"] == "1, 2"
    assert len(client().search_runs(["1"])) == 1


@pytest.mark.usefixtures("undrawn")
def test_the_parent_of_jobs_is_the_run_of_the_study(study: Study) -> None:
    with recorded(study, print) as record:
        assert record.jobs == jobs_of(study, record.run_id)


@pytest.mark.usefixtures("undrawn")
def test_a_failed_job_and_an_error_are_in_the_runs_status(study: Study) -> None:
    with recorded(study, print) as record:
        finish_all(study)
        folder = record.jobs[3].folder
        (folder / "outcome.json").unlink()
        (folder / "failure.txt").write_text("no room")
    assert run_of(record.run_id).info.status == "FAILED"
    with pytest.raises(ZeroDivisionError), recorded(study, print):
        raise ZeroDivisionError
    assert run_of(record.run_id).info.status == "FAILED"
    with pytest.raises(KeyboardInterrupt), recorded(study, print):
        raise KeyboardInterrupt
    assert run_of(record.run_id).info.status == "KILLED"


@pytest.mark.usefixtures("undrawn")
def test_a_store_that_fails_causes_a_warning(study: Study) -> None:
    warnings: list[str] = []
    with recorded(study, warnings.append):
        finish_all(study)
        Path("mlflow.db").rename("gone.db")
        Path("mlflow.db").mkdir()
    assert warnings and all("MLflow did not answer" in text and "toy-1234" in text for text in warnings)
    assert "40.5 ± 0.5" in (study.folder / "table.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_deleted_mlflow_run_is_replaced(study: Study) -> None:
    study.folder.mkdir(parents=True)
    (study.folder / "study.json").write_text('{"run_id": "0123456789abcdef"}')
    finish_all(study)
    warnings: list[str] = []
    with recorded(study, warnings.append) as second:
        pass
    assert len(warnings) == 1 and "the study gets a new run in MLflow: run 0123456789abcdef" in warnings[0]
    assert run_of(second.run_id).info.status == "FINISHED"
    with recorded(study, warnings.append) as third:
        assert third.run_id == second.run_id


def test_an_invalid_store_is_a_user_error(study: Study) -> None:
    arm = study.arms[0]
    nowhere = replace(arm.config, track=replace(arm.config.track, uri="sqlite:////proc/nowhere/x.db"))
    with (
        pytest.raises(UserError, match="cannot be used"),
        recorded(replace(study, arms=(replace(arm, config=nowhere),)), print),
    ):
        pass
    assert not study.folder.exists()
