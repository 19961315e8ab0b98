"""`icpo explain RUN`: a stored group derived anew."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from icpo_cli.runs.parquet import read_table, write_table
from tests.report.stores import Made


@pytest.fixture
def explain(made_store: Made, icpo_here: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`icpo explain` in the folder of the store."""
    monkeypatch.chdir(made_store.folder)
    return lambda *arguments: icpo_here("explain", *arguments)


def group_of(made: Made, run: str, iteration: int, prompt: str) -> list[dict]:
    rows = read_table(made.folder / "runs" / run / "responses" / f"iteration-{iteration:05d}.parquet")
    return [row for row in rows if row["prompt_id"] == prompt]


@pytest.mark.parametrize("prompt", range(5))
@pytest.mark.parametrize("method", ["icpo", "grpo"])
def test_what_was_logged_is_derived_anew(method: str, prompt: int, made_store: Made, explain: Callable) -> None:
    run = getattr(made_store, method)
    document = explain(run, "--iteration", "2", "--prompt", f"sum/2/{prompt}", "--json").document
    rows = group_of(made_store, run, 2, f"sum/2/{prompt}")
    for ours, logged in {"final_reward": "reward_final", "advantage": "advantage", "confidence": "confidence"}.items():
        assert document[ours] == pytest.approx([row[logged] for row in rows], abs=1e-6), ours
    assert document["equal"] and max(document["largest_difference"].values()) < 1e-6
    assert [response["text"] for response in document["responses"]] == [row["text"] for row in rows]
    assert document["omega"] == pytest.approx(0.416666667 if method == "icpo" else 0)  # half way down from T_w = 0.6


def test_the_derivation_by_hand(made_store: Made, explain: Callable) -> None:
    """Equations 7, 9, 11 and 5 in numpy, from the stored log-probs and rewards."""
    rows = group_of(made_store, made_store.icpo, 1, "sum/1/1")
    confidence = np.array([np.log(np.mean(np.exp(row["logprob"]))) for row in rows])
    reward = np.array([row["reward_verif"] for row in rows])
    score = np.array([0.4 * sum(c for c in confidence if c > own) / own for own in confidence]) - 0.4 * confidence.max()
    final = reward + (1 - 0.4 / 2.4) * np.minimum(score, reward / 2)  # omega in iteration 1 of 3, T_w = 0.6
    document = explain("icpo", "--iteration", "1", "--prompt", "sum/1/1", "--json").document
    assert document["confidence"] == pytest.approx(list(confidence), abs=1e-9)
    assert document["preference_score"] == pytest.approx(list(score), abs=1e-9)
    assert document["final_reward"] == pytest.approx(list(final), abs=1e-9)
    assert document["advantage"] == pytest.approx(list((final - final.mean()) / final.std()), abs=1e-9)


def test_a_group_that_nobody_could_judge_has_no_advantage(made_store: Made, explain: Callable) -> None:
    arguments = [made_store.icpo, "--iteration", "1", "--prompt", "sum/1/4"]
    document = explain(*arguments, "--json").document
    assert document["undecided"] and document["advantage"] == [0.0] * 4 and any(document["grpo_advantage"])
    assert "The advantages are 0: a response has no verdict" in explain(*arguments).out


def test_the_steps_as_they_are_shown(made_store: Made, explain: Callable) -> None:
    out = explain(made_store.icpo[:10], "--iteration", "1", "--prompt", "sum/1/0").out
    assert "1. Responses by ascending confidence (Eq. 6)" in out and "5. Advantages (Eq. 5), population std:" in out
    assert "O1  correct, answer" in out and "R_verif = 0.9 * 1 + 0.1 * 0 = 0.9000" in out
    assert "All numbers equal the logged ones" in out
    # Model output is text.
    assert "\x1b" not in out and "\u202e" not in out and "[bold]rich[/bold]" in out and "<script>" in out


def test_from_the_stores_artifacts_where_the_folder_is_gone(
    made_store: Made, tmp_path: Path, icpo_here: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = ["--store", str(made_store.folder / "mlflow.db")]
    document = icpo_here("explain", "grpo", "--iteration", "3", "--prompt", "sum/3/1", *store, "--json").document
    assert (document["run_id"], document["equal"]) == (made_store.grpo, True)
    done = icpo_here("explain", made_store.icpo, "--iteration", "3", "--prompt", "sum/3/1")
    assert done.status == 2 and "no such run in runs/, and there is no store mlflow.db here" in done.err


@pytest.fixture
def copied(made_store: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table of an iteration, to be changed, in a run's folder of its own."""
    run = tmp_path / "runs" / made_store.icpo
    shutil.copytree(made_store.folder / "runs" / made_store.icpo, run)
    monkeypatch.chdir(tmp_path)
    return run / "responses" / "iteration-00002.parquet"


def test_what_was_logged_otherwise_is_said_and_fails(copied: Path, icpo_here: Callable) -> None:
    rows = read_table(copied)
    rows[1]["advantage"] += 2e-6
    rows[2]["reward_final"] = float("nan")
    write_table(rows, copied)
    arguments = [str(copied.parent.parent), "--iteration", "2", "--prompt", "sum/2/0"]
    done = icpo_here("explain", *arguments)
    assert done.status == 1 and "All numbers equal the logged ones" not in done.out
    assert (
        "logged values differ from those that its configuration, log-probs and rewards give: reward_final by inf"
        in done.err
    )
    assert "advantage by 2e-06" in done.err and "confidence" not in done.err
    done = icpo_here("explain", *arguments, "--json")
    assert (done.status, done.document["equal"]) == (1, False)
    assert icpo_here("explain", *arguments[:-1], "sum/2/1").status == 0


def test_a_prompt_that_was_asked_twice(copied: Path, icpo_here: Callable) -> None:
    rows = read_table(copied)
    write_table([*rows, *rows[:4]], copied)
    done = icpo_here("explain", str(copied.parent.parent), "--iteration", "2", "--prompt", "sum/2/0")
    assert done.status == 0 and "The iteration sampled this prompt 2 times; this is the first group." in done.out


def test_a_response_without_tokens(copied: Path, icpo_here: Callable) -> None:
    """Its confidence is without bound, and what is logged so is equal."""
    rows = read_table(copied)
    rows[4] |= {"logprob": [], "confidence": float("-inf")}
    write_table(rows, copied)
    document = icpo_here(
        "explain", str(copied.parent.parent), "--iteration", "2", "--prompt", "sum/2/1", "--json"
    ).document
    assert document["largest_difference"]["confidence"] == 0 and document["order"][0] == 1


MISTAKES = {
    "no iteration": (["icpo", "--prompt", "x"], "--iteration: name an iteration of RUN"),
    "no prompt": (["icpo", "--iteration", "1"], "--prompt: name a prompt's id, or a prefix of it"),
    "no such run": (["nosuchrun", "--iteration", "1", "--prompt", "x"], "RUN nosuchrun: no such run in the store"),
    "no responses": (
        ["icpo", "--iteration", "9", "--prompt", "x"],
        "has no stored responses for it; stored iterations: 1 to 3",
    ),
    "no such prompt": (
        ["icpo", "--iteration", "1", "--prompt", "x"],
        "--prompt x: no prompt of iteration 1 matches; known: sum/1/0, sum/1/1",
    ),
    "several prompts": (["icpo", "--iteration", "1", "--prompt", "sum"], "several prompts match: sum/1/0, sum/1/1"),
    "an evaluation": (["eval Qwen2.5-7B", "--iteration", "1", "--prompt", "x"], "is of kind eval: only a training run"),
    "both ways": (["icpo", "--iteration", "1", "--prompt", "x", "--delta=0.3"], "--delta: not with RUN"),
    "neither way": ([], "explain: name a RUN with --iteration and --prompt, or give --logprob and --reward"),
    "iteration alone": (["--iteration", "1", "--logprob=-1,-2", "--reward=1,0"], "--iteration: not without RUN"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(name: str, explain: Callable) -> None:
    arguments, says = MISTAKES[name]
    done = explain(*arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and len(done.err.strip().splitlines()) == 1


def test_a_table_that_cannot_be_read(copied: Path, icpo_here: Callable) -> None:
    copied.write_bytes(b"not parquet")
    done = icpo_here("explain", str(copied.parent.parent), "--iteration", "2", "--prompt", "sum/2/0")
    assert done.status == 2 and "iteration-00002.parquet: cannot be read: " in done.err
