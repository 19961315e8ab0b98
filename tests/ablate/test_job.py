"""One job: it completes all iterations even if it is killed several times, and records how it ended."""

import json
import signal
import sys
from pathlib import Path

import pytest

from icpo_cli.ablate.job import ALREADY_RUNNING, main
from tests.ablate.jobs import kill, make_job, run_job, runs_of, start_job, starts_of, steps_of, under_way, until
from tests.processes import alive


def test_a_job_runs_to_its_end_and_then_does_nothing(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job")
    assert run_job(folder) == 0
    document = json.loads((folder / "outcome.json").read_text())
    assert document["iterations"] == 4
    assert document["run_id"] == runs_of(folder)[0].name
    assert run_job(folder) == 0
    assert len(starts_of(folder)) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_stopped_saves_and_resumes_later(number: int, tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", iterations=30)
    process = start_job(folder, seconds=0.1)
    until(lambda: under_way(folder))
    kill(process, number)
    assert process.returncode == 128 + number
    assert not (folder / "outcome.json").exists()
    assert not (folder / "failure.txt").exists()
    assert run_job(folder) == 0
    assert steps_of(folder) == list(range(1, 31))
    assert "--resume" in starts_of(folder)[1]["arguments"]


def test_the_run_of_a_killed_job_process_saves_and_the_job_stays_locked_until_then(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", iterations=30)
    process = start_job(folder, seconds=0.5)
    until(lambda: under_way(folder))
    kill(process)
    assert run_job(folder) == ALREADY_RUNNING
    assert run_job(folder, "--wait") == 0
    first, _ = starts_of(folder)
    assert not alive(first["pid"])
    assert steps_of(folder) == list(range(1, 31))


def test_a_killed_run_is_a_failure_that_the_next_start_removes(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", "dies once")
    assert run_job(folder) == 1
    assert (folder / "failure.txt").read_text().startswith("killed by SIGKILL")
    assert run_job(folder) == 0
    assert not (folder / "failure.txt").exists()
    assert steps_of(folder) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fails", "iteration 2: the loss was not finite; log: there\n"),
        ("unusable", "model.path: no such model\n"),
        ("exits early", "ended after 3 of 4 iterations\n"),
    ],
)
def test_a_failure_is_one_line(name: str, why: str, tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", name)
    assert run_job(folder) == 1
    assert (folder / "failure.txt").read_text() == why
    assert not (folder / "outcome.json").exists()


def test_standard_error_is_kept(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", "fails")
    run_job(folder)
    assert "some traceback" in (folder / "job.log").read_text()


def test_a_second_start_of_a_running_job_is_an_error(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", iterations=1000)
    process = start_job(folder, seconds=0.1)
    until(lambda: under_way(folder))
    second = start_job(folder)
    _, said = second.communicate()
    assert second.returncode == ALREADY_RUNNING
    assert "running already" in said
    kill(process, signal.SIGTERM)
    assert len(starts_of(folder)) == 1


def test_a_job_whose_parent_is_gone_saves_and_ends(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job", iterations=1000)
    process = start_job(folder, "--parent", "1", seconds=0.05)
    assert process.wait() == 128 + signal.SIGTERM


def test_the_run_that_saved_last_is_resumed(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job")
    text = (folder / "config.yaml").read_text()
    for name, saved in {"b-saved": True, "c-empty": False, "a-half": False}.items():
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text(text[:20] if name == "a-half" else text)
        if saved:
            (folder / name / "checkpoints" / "iteration-00002").mkdir(parents=True)
            (folder / name / "starts.jsonl").touch()
    assert run_job(folder) == 0
    assert json.loads((folder / "outcome.json").read_text())["run_id"] == "b-saved"


def test_a_run_that_saved_nothing_is_resumed_unless_its_configuration_is_half_written(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job")
    for name, part in {"a-begun": None, "b-half": 20}.items():
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text((folder / "config.yaml").read_text()[:part])
    assert run_job(folder) == 0
    assert json.loads((folder / "outcome.json").read_text())["run_id"] == "a-begun"


def test_several_ranks_are_passed_to_the_run(tmp_path: Path) -> None:
    folder = make_job(tmp_path / "job")
    run_job(folder, "--ranks", "4")
    assert starts_of(folder)[0]["arguments"][2:] == ["--nproc", "4", "--json"]


def test_a_folder_without_a_configuration_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)], [sys.executable])
    assert ended.value.code == 2
    assert "contains no config.yaml" in capsys.readouterr().err
