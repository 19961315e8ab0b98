import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.runs.journal import Journal, JournalEntry
from icpo_cli.train.plan import Estimate, estimate, evaluations, past_runs, plan

QUICKSTART = str(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")


def config_of(*overrides: str) -> Config:
    return load_config([QUICKSTART, *overrides])


def write_run(folder: Path, config: Config, seconds: Sequence[float], evaluations: Sequence[float] = ()) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    journal = Journal(folder / "journal.jsonl")
    for value in evaluations:
        journal.append(JournalEntry(0, 0, {"seconds/eval": value}))
    for step, value in enumerate(seconds, 1):
        journal.append(JournalEntry(step, 0, {"seconds/iteration": value, "entropy": 1.0}))


@pytest.mark.parametrize(
    ("iterations", "every", "expected"), [(14, 7, 3), (15, 7, 4), (6, 7, 2), (7, 7, 2), (500, 10, 51)]
)
def test_evaluations_of_a_run(iterations: int, every: int, expected: int) -> None:
    assert evaluations(config_of(f"train.iterations={iterations}", f"train.eval_every={every}")) == expected


def test_earlier_runs_of_the_same_sizes_give_the_estimate(tmp_path: Path) -> None:
    """Whatever their method, seed and length, and whether they were made alone or in a study."""
    runs, studies = tmp_path / "runs", tmp_path / "studies"
    write_run(runs / "a", config_of("method=grpo", "seed=4", "train.iterations=2"), [20.0, 30.0], [5.0, 7.0])
    write_run(studies / "noise-1" / "icpo" / "seed-0" / "b", config_of("reward.noise.fraction=0.4"), [35.0], [8.0])
    write_run(studies / "coarse-1" / "probe" / "c", config_of("name=x"), [30.0], [7.0])
    write_run(runs / "other sizes", config_of("rollout.group_size=6"), [1000.0])
    write_run(runs / "no reference", config_of("learner.kl_coef=0"), [1000.0])
    write_run(runs / "not begun", config_of(), [])
    past = past_runs(runs)
    assert len(past) == 5
    found = estimate(config_of("method.tau=3"), past, cores=2)
    assert found.seconds == pytest.approx(14 * (25 + 35 + 30) / 3 + 3 * (6 + 8 + 7) / 3)
    assert found.basis == "30.0 s per iteration, measured in 3 runs with these sizes"


def test_without_earlier_runs_tokens_are_counted() -> None:
    # 14 iterations x 12 prompts x (256 + 5 x 40) tokens x (1 sampling + 2 log-probs + 3 update) + 3 evaluations
    # x 160 questions x (256 + 40) tokens, each 2 FLOP a parameter; 120 GFLOP/s a core, half a second a step.
    smollm2 = 49152 * 576 + 30 * (576 * 64 * 2 * (9 + 3) + 3 * 576 * 1536)
    flops = 2 * smollm2 * (14 * 12 * 456 * 6 + 3 * 160 * 296)
    found = estimate(config_of(), [], cores=2)
    assert found.seconds == pytest.approx(flops / 240e9 + 0.5 * (14 + 3))
    assert "counted, not measured" in found.basis and "240 GFLOP/s, 2 cores" in found.basis


@pytest.mark.parametrize(("model", "cores"), [("smollm2", None), ("nobody/met-before", 2)])
def test_an_unknown_duration_is_none(model: str, cores: int | None) -> None:
    found = estimate(config_of(f"model.path={model}"), [], cores)
    assert found == Estimate(None, "no earlier run with these sizes")


def test_a_plan_counts_the_questions_that_training_keeps(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": f"q{n}", "answer": n or None}) + "\n" for n in range(3)))
    planned = plan(load_config(["data.train.source=file", f"data.train.path={path}", "data.heldout=null"]), 1)
    assert (planned.questions, planned.unusable_golds) == (2, 1)
