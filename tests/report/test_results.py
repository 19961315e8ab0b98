"""From the runs of a store to evaluations: whose they are, and their numbers."""

import math

import pytest

from icpo_cli.report.names import model_order, same_method, same_model, series
from icpo_cli.report.results import EvalRow, PastEvaluation, evaluations_of
from icpo_cli.track.read import PastRun
from tests.report.runs import evaluated, run, trained

GENERAL = {"mmlu_pro": 50.0, "gpqa": 30.0, "theoremqa": 40.0, "webinstruct": 61.0}


def only(*runs: PastRun) -> PastEvaluation:
    [found] = evaluations_of(runs)
    return found


def test_a_model_that_nothing_trained_here_is_base() -> None:
    variant = only(evaluated("e", GENERAL)).variant
    assert (variant.family, variant.model, variant.method, variant.verifier) == ("qwen", "Qwen2.5-7B", "base", "none")


def test_a_checkpoint_has_its_training_runs_model_and_method() -> None:
    training = trained("t", "method=grpo")
    variant = only(training, evaluated("e", GENERAL, model="t/iteration-00014", parent="t")).variant
    assert (variant.model, variant.method, variant.setting, variant.verifier) == ("Qwen2.5-7B", "grpo", "", "rule")


@pytest.mark.parametrize(
    ("settings", "method", "setting", "verifier"),
    [
        (["method=icpo", "method.omega.schedule=constant"], "icpo:constant", "", "rule"),
        (["method=grpo", "method.omega.schedule=constant"], "grpo", "", "rule"),
        (["method=icpo", "reward.noise.fraction=0.4"], "icpo", "noise 0.4", "rule"),
        (["method=grpo", "reward.control=shuffled_golds"], "grpo", "shuffled golds", "rule"),
        (["method=icpo", "reward.judge.mode=alone", "reward.judge.url=http://x/v1"], "icpo", "", "model"),
        (["method=icpo", "data.train.source=file", "data.train.path=studies/c/coarse.jsonl"], "icpo", "coarse", "rule"),
    ],
)
def test_what_sets_a_training_apart(settings: list[str], method: str, setting: str, verifier: str) -> None:
    variant = only(trained("t", *settings), evaluated("e", GENERAL, parent="t")).variant
    assert (variant.method, variant.setting, variant.verifier) == (method, setting, verifier)


def test_responses_graded_anew_are_still_of_their_training_run() -> None:
    first = evaluated("e", GENERAL, model="t/iteration-00014", parent="t")
    anew = evaluated("again", GENERAL, model="t/iteration-00014", parent="e", source="rescore")
    newest, _ = evaluations_of([trained("t", "method=grpo"), first, anew])
    assert (newest.run.id, newest.variant.method) == ("again", "grpo")


def test_a_study_above_is_not_what_was_trained() -> None:
    study = run("s", params=dict(trained("x").params), tags={"study.name": "noise"})
    assert only(study, evaluated("e", GENERAL, parent="s")).variant.method == "base"


def test_a_checkpoint_whose_run_was_deleted_is_not_called_base() -> None:
    label = "0123456789abcdef0123456789abcdef/iteration-00014"
    variant = only(evaluated("e", GENERAL, model=label, parent="gone")).variant
    assert (variant.model, variant.method) == (label, "unknown")


def test_accuracies_measured_while_training_are_no_evaluation() -> None:
    training = run("t", params=dict(trained("x").params), metrics={"eval/math500/avg_at_k": 50.0})
    assert evaluations_of([training]) == []


def test_a_benchmark_without_a_graded_response_has_no_number() -> None:
    # MLflow takes no NaN, so that a mean of nothing is not logged.
    made = evaluated("e", GENERAL)
    metrics = {key: value for key, value in made.metrics.items() if key != "eval/gpqa/avg_at_k"}
    cells = only(run("e", tags=dict(made.tags), metrics=metrics)).scores
    assert list(cells) == ["mmlu_pro", "theoremqa", "webinstruct"]


def test_of_one_question_no_error_is_known() -> None:
    made = evaluated("e", {"gpqa": 30.0})
    metrics = {key: value for key, value in made.metrics.items() if "stderr" not in key and "ci95" not in key}
    cell = only(run("e", tags=dict(made.tags), metrics=metrics)).scores["gpqa"]
    assert (cell.avg_at_k, math.isnan(cell.stderr), math.isnan(cell.ci95[0])) == (30.0, True, True)


def test_means_are_of_whole_groups_with_the_error_of_independent_parts() -> None:
    found = only(evaluated("e", {**GENERAL, "math500": 70.0, "minerva": 30.0}))
    row = EvalRow(found.variant, found.scores)
    general = row.score("general")
    assert general is not None and general.avg_at_k == 45.25
    assert general.stderr == 1.0  # sqrt(4 x 2.0 squared) / 4
    assert general.ci95 == pytest.approx((43.29, 47.21), abs=0.01)
    assert row.score("math") is None and row.score("aime24") is None


def test_other_rules_of_grading_are_another_grader() -> None:
    cell = only(evaluated("e", {"gpqa": 30.0}, rule="rlpr", extract="None")).scores["gpqa"]
    assert cell.grader == "4, rule rlpr"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Inst"),
        ("google/gemma-2-2b-it", "Gemma2-2B-It"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama3.1-8B-Inst"),
        ("Qwen/Qwen3-4B-Base", "Qwen3-4B"),
    ],
)
def test_the_hubs_names_are_the_papers(ours: str, theirs: str) -> None:
    assert same_model(ours) == same_model(theirs)


def test_other_models_are_told_apart() -> None:
    assert len({same_model(name) for name in ("Qwen2.5-7B", "Qwen2.5-7B-Inst", "Qwen2.5-Math-7B", "Qwen2-7B")}) == 4
    assert same_method("icpo:warmup_decay") == "icpo" != same_method("icpo:constant")


def test_models_stand_by_family_series_and_size() -> None:
    models = [
        "my-model",
        "Qwen2.5-14B",
        "Qwen3-4B",
        "Qwen2.5-7B-Instruct",
        "Qwen2.5-7B",
        "Llama-3.1-8B",
        "gemma-2-2b-it",
    ]
    assert sorted(models, key=model_order) == [
        *reversed(models[4:]),
        "Qwen2.5-14B",
        "Qwen2.5-7B-Instruct",
        "Qwen3-4B",
        "my-model",
    ]
    assert series("Qwen2.5-7B-Instruct") == "Qwen2.5-Instruct" and series("gemma-2-2b-it") == "Gemma2-Instruct"
