from pathlib import Path

import pytest

from icpo_cli.ablate.plan import StudyPlan, check_study, plan
from icpo_cli.ablate.request import read_study
from icpo_cli.errors import UserError

HERE: tuple[int, int | None, int | None] = (1, 2, 1)
"""Ranks and cores of a run, and runs at once."""


def planned(
    study: str, *arguments: str, machine: tuple[int, int | None, int | None] = HERE, seeds: str = "0,1"
) -> StudyPlan:
    return plan(read_study(study, arguments, seeds), *machine)


@pytest.fixture(autouse=True)
def _no_past_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_differences_are_to_the_base_arm() -> None:
    arms = {each.arm.name: each for each in planned("noise").arms}
    assert arms["grpo"].differs == {}
    assert arms["icpo-noise"].differs == {
        "method.name": ("grpo", "icpo"),
        "method.bonus": ("none", "preference"),
        "reward.noise.fraction": (0.0, 0.4),
    }


@pytest.mark.parametrize(("iterations", "points"), [(500, [0, 50, 100, 250, 500]), (14, [0, 1, 3, 7, 14]), (1, [0, 1])])
def test_omega_is_shown_at_fractions_of_the_run(iterations: int, points: list[int]) -> None:
    grpo, *others = planned("schedule", f"train.iterations={iterations}").arms
    assert grpo.omega == {}
    assert all(list(each.omega) == points for each in others)


def test_time_of_one_run_and_of_all_runs() -> None:
    found = planned("schedule")
    one = found.arms[0].estimate.seconds
    assert one is not None and found.seconds == pytest.approx(one * 5 * 2)
    assert found.runs == 10
    elsewhere = planned("schedule", machine=(8, None, None))
    assert elsewhere.seconds is None and elsewhere.document()["arms"][0]["seconds_estimate"] is None


def test_the_time_includes_the_probe() -> None:
    found = planned("coarse")
    assert found.probe_estimate is not None and found.probe_iterations == 111
    assert found.seconds is not None and found.probe_estimate.seconds is not None
    each = found.arms[0].estimate.seconds
    assert each is not None and found.seconds == pytest.approx(4 * each + found.probe_estimate.seconds)
    unknown = planned("coarse", "data.train.source=hub", "data.train.path=no/such")
    assert unknown.document()["probe"]["iterations"] is None and unknown.seconds is None


def test_memory_is_that_of_the_model_or_unknown() -> None:
    arms = {each.arm.name: each for each in planned("scale", machine=(8, None, None)).arms}
    gib = {name: each.memory_gib for name, each in arms.items()}
    assert gib["qwen2.5-3b-grpo"] is not None and gib["qwen2.5-14b-grpo"] is not None
    assert gib["qwen2.5-3b-grpo"] < gib["qwen2.5-14b-grpo"]
    assert planned("schedule", "model.path=nobody/met-before").arms[0].memory_gib is None


@pytest.mark.parametrize(
    ("arguments", "ranks", "says"),
    [
        (["learner.mini_batch_prompts=5"], 1, "arm grpo: learner.mini_batch_prompts: 5 does not divide"),
        ([], 5, "arm grpo: learner.mini_batch_prompts: 12 prompts cannot be shared evenly by 5 ranks"),
        (["rollout.max_response_tokens=9000"], 1, "arm grpo: rollout.max_prompt_tokens 256 + "),
        (["method.omega.min=2"], 1, "arm grpo: method.omega.min: 2.0 is above method.omega.max 1.0"),
        (["model.path=./nothing"], 1, "arm grpo: model.path: ./nothing: no such folder"),
    ],
)
def test_an_invalid_configuration_is_an_error_that_names_the_arm(arguments: list[str], ranks: int, says: str) -> None:
    study = read_study("noise", arguments)
    with pytest.raises(UserError) as error:
        check_study(study, ranks)
    assert says in str(error.value)
