"""`icpo runs` on a store of training runs, a study and evaluations."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.fork_server import Finished
from tests.report.stores import Made

HEAVY = ("torch", "vllm", "deepspeed", "mlflow", "transformers", "matplotlib")


@pytest.fixture
def runs(made_store: Made, icpo_here: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`icpo runs` in the folder of the store."""
    monkeypatch.chdir(made_store.folder)
    return lambda *arguments: icpo_here("runs", *arguments)


def test_runs_at_a_glance(made_store: Made, runs: Callable) -> None:
    listed = {run["id"]: run for run in runs("list", "--json").document["runs"]}
    assert list(listed)[-1] == made_store.study and next(iter(listed)) == made_store.eval_partial
    icpo = listed[made_store.icpo]
    assert (icpo["kind"], icpo["method"], icpo["model"], icpo["status"]) == ("train", "icpo", "smollm2", "FINISHED")
    assert (icpo["iterations"], icpo["iterations_wanted"], icpo["accuracy"]) == (3, 3, {"heldout": 65.0})
    running = listed[made_store.running]
    assert (running["status"], running["iterations"], running["ended"]) == ("RUNNING", 2, None)
    assert listed[made_store.study]["kind"] == "study"
    base, grpo, partial = (
        listed[each] for each in (made_store.eval_base, made_store.eval_grpo, made_store.eval_partial)
    )
    assert (base["kind"], base["method"], base["model"]) == ("eval", None, "Qwen2.5-7B")
    assert grpo["method"] == "grpo"  # its training run's, not the default of its own configuration
    assert base["accuracy"]["general"] == pytest.approx((50 + 30 + 40 + 60) / 4)
    assert base["accuracy"]["math"] == pytest.approx((70 + 35 + 15) / 3)
    assert (partial["partial"], partial["accuracy"]) == (True, {"aime24": 40.0})


def test_the_list_as_it_is_shown(made_store: Made, runs: Callable) -> None:
    lines = {line.split()[0]: " ".join(line.split()) for line in runs("list").out.splitlines()}
    assert "icpo train icpo smollm2 finished" in lines[made_store.icpo[:8]]
    assert "3/3 held out 65.0" in lines[made_store.icpo[:8]]
    assert lines[made_store.running[:8]].endswith("2/3 held out 60.0")
    partial = lines[made_store.eval_partial[:8]]
    assert f"{made_store.icpo[:8]}/iteration-00003" in partial and partial.endswith("AIME24 40.0 partial")
    assert "General 45.0, Math 40.0" in lines[made_store.eval_base[:8]]
    assert len(lines) == 1 + 9  # however narrow the terminal and long the names


def test_the_list_narrowed_down(made_store: Made, runs: Callable) -> None:
    assert [run["id"] for run in runs("list", "--kind", "study", "--json").document["runs"]] == [made_store.study]
    assert len(runs("list", "--kind", "eval", "--experiment", "icpo", "--json").document["runs"]) == 4


def test_all_of_one_run(made_store: Made, runs: Callable) -> None:
    document = runs("show", made_store.icpo[:12], "--json").document
    assert (document["id"], document["parent"]) == (made_store.icpo, made_store.study)
    assert sorted(document["children"]) == sorted([made_store.eval_icpo, made_store.eval_partial])
    assert document["config"]["rollout.group_size"] == 4 and document["facts"]["verifier.version"]
    assert document["metrics"]["eval/heldout/avg_at_k"] == 65.0
    assert "responses/iteration-00003.parquet" in document["artifacts"]
    shown = runs("show", "icpo").out  # by its name, which no other run has
    settings = shown.partition("configuration\n")[2].partition("\n\n")[0]
    assert "rollout.group_size             4" in settings and "method.delta" not in settings
    usual = len(document["config"]) - (len(settings.splitlines()) - 1)
    assert usual > 100 and f"{usual} more settings are the defaults" in settings


def test_in_what_two_runs_differ(made_store: Made, tmp_path: Path, icpo_here: Callable) -> None:
    database = shutil.copy(made_store.folder / "mlflow.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        # As if all were of one commit but one run.
        connection.execute("UPDATE tags SET value = 'same' WHERE key LIKE 'code.%'")
        other = "UPDATE tags SET value = 'other' WHERE key = 'code.commit' AND run_uuid = ?"
        connection.execute(other, (made_store.grpo,))

    def runs(*arguments: str) -> Finished:
        return icpo_here("runs", *arguments, "--store", str(database))

    document = runs("diff", "grpo", "icpo", "--json").document
    assert (document["left"], document["right"]) == (made_store.grpo, made_store.icpo)
    names = {"method.name": ["grpo", "icpo"], "name": ["grpo", "icpo"], "method.bonus": ["none", "preference"]}
    assert document["configuration"] == names
    assert document["code"] == {"code.commit": ["other", "same"]}
    assert document["data"] == document["packages"] == document["facts"] == {}
    document = runs("diff", "running", "icpo", "--json").document
    assert document["metrics"]["eval/heldout/avg_at_k"] == {"left": 60.0, "right": 65.0, "difference": 5.0}
    assert "kl" not in document["metrics"]  # equal
    shown = runs("diff", "running", "icpo").out
    assert "equal: data, code, packages, facts" in shown
    assert ["eval/heldout/avg_at_k", "60", "65", "+5"] in [line.split() for line in shown.splitlines()]
    across = runs("diff", "icpo", made_store.eval_base, "--json").document
    assert across["data"]["data.source.aime24"] == [None, "aime24.parquet"]
    assert across["left_alone"]["kl"] == 0.001 and across["right_alone"]["eval/math/avg_at_k"] == pytest.approx(40)


def test_a_runs_own_words_are_text(made_store: Made, tmp_path: Path, icpo_here: Callable) -> None:
    database = shutil.copy(made_store.folder / "mlflow.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in (("runs", "name"), ("params", "value"), ("tags", "value")):
            connection.execute(f"UPDATE {table} SET {column} = '[red]x[/red]' || char(27) || '[31m' || {column}")
        connection.execute("UPDATE tags SET value = substr(value, -32) WHERE key = 'mlflow.parentRunId'")
        connection.execute("DELETE FROM params WHERE key = 'train.iterations'")
    for arguments in (["list"], ["show", made_store.icpo], ["diff", made_store.icpo, made_store.grpo]):
        out = icpo_here("runs", *arguments, "--store", str(database)).out
        assert "[red]x[/red]\N{REPLACEMENT CHARACTER}[31m" in out and "\x1b" not in out


def test_nothing_heavy_is_imported(made_store: Made) -> None:
    code = (
        "import sys\nfrom icpo_cli.cli.app import app\n"
        "for line in ('runs list', 'runs show icpo', 'runs diff icpo grpo', 'ui --store https://mlflow.example.org'):\n"
        "    try:\n        app(line.split())\n    except SystemExit as ended:\n        assert not ended.code\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made_store.folder, capture_output=True, text=True, check=True
    )
    assert "LOADED []" in done.stdout


MISTAKES = {
    "no store": (["list", "--store", "nothing.db"], "nothing.db: no such MLflow store"),
    "no experiment": (["list", "--experiment", "icpp"], "--experiment: unknown experiment 'icpp'; nearest: icpo"),
    "no kind": (["list", "--kind", "evals"], "--kind: unknown kind 'evals'; nearest: eval"),
    "no run": (["show", "nosuchrun"], "RUN nosuchrun: no such run in the store"),
    "several runs": (["diff", "icpo", ""], "RIGHT : no such run"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(name: str, runs: Callable) -> None:
    arguments, says = MISTAKES[name]
    done = runs(*arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and len(done.err.strip().splitlines()) == 1


def test_a_store_without_runs(made_store: Made, tmp_path: Path, icpo_here: Callable) -> None:
    database = shutil.copy(made_store.folder / "mlflow.db", tmp_path / "empty.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    done = icpo_here("runs", "list", "--store", str(database))
    assert (done.status, done.out) == (0, "no runs; `icpo train` and `icpo eval` make them\n")
    assert icpo_here("runs", "list", "--store", str(database), "--json").document == {"runs": []}
