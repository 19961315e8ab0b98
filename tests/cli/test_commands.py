"""The real command, where no engine is needed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

HEAVY = ("torch", "vllm", "deepspeed", "mlflow", "transformers")
CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "golden_groups.json").read_text())["cases"]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom icpo_cli.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_explain_gives_the_papers_worked_examples(case: dict, icpo_here: Callable) -> None:
    arguments = [f"--{name}={','.join(map(str, case[name]))}" for name in ("logprob", "reward")]
    arguments += [f"--{name}={case[name]}" for name in ("delta", "tau", "omega")]
    document = icpo_here("explain", *arguments, "--json").document
    assert document["order"] == case["order"]
    assert document["confidence"] == case["logprob"]
    for name in ("preference_score", "final_reward", "advantage", "grpo_advantage"):
        assert document[name] == pytest.approx(case[name], abs=1e-3), name
    assert document["bonus"] == pytest.approx(
        [final - reward for final, reward in zip(case["final_reward"], case["reward"], strict=True)], abs=1e-3
    )


def test_explain_shows_its_steps(icpo_here: Callable) -> None:
    out = icpo_here("explain", "--logprob=-0.4,-0.2,-0.1", "--reward=1,0.1,1", "--delta=0.5").out
    assert "O1  O2  O3" in out
    assert "S1 = 0.5 * (-0.2000/-0.4000 + -0.1000/-0.4000) - 0.5 * (-0.1000) = 0.4250" in out
    assert "R2 = 0.1000 + 1 * min(0.3000, 0.1000/2) = 0.1000 + 0.0500 = 0.1500" in out


def test_ties_make_no_pair_in_the_shown_steps(icpo_here: Callable) -> None:
    out = icpo_here("explain", "--logprob=-0.2,-0.2", "--reward=1,0").out
    assert "(O1, O2)" not in out and "S1 = 0.4 * (0)" in out


def test_config_show_and_diff(icpo_here: Callable) -> None:
    shown = yaml.safe_load(icpo_here("config", "show", "method=dr_grpo").out)
    assert shown["method"]["loss_mean"] == "constant"
    differences = icpo_here("config", "diff", "method=icpo", "method=grpo").out
    assert "method.bonus" in differences and "learner" not in differences
    assert icpo_here("config", "diff", "seed=1", "seed=1").out == ""


def test_the_plan_of_a_paper_run(icpo_here: Callable) -> None:
    experiment = Path(__file__).parents[2] / "experiments" / "paper" / "qwen2.5-7b-icpo.yaml"
    document = icpo_here("train", str(experiment), "--dry-run", "--json", env={"WORLD_SIZE": "8"}).document
    plan = document["plan"]
    assert (plan["responses_an_iteration"], plan["updates_an_iteration"], plan["iterations"]) == (3840, 4, 500)
    assert plan["parameters"] == pytest.approx(7.6156e9, rel=1e-4)
    assert plan["memory_gib"]["optimizer"] == pytest.approx(7.6156e9 * 12 / 8 / 2**30, rel=1e-2)
    assert document["config"]["method"]["delta"] == 0.4


def test_the_plan_compares_a_run_with_gpus_that_are_not_here(icpo_here: Callable) -> None:
    experiment = Path(__file__).parents[2] / "experiments" / "paper" / "qwen2.5-14b-icpo.yaml"
    out = icpo_here("train", str(experiment), "--dry-run", "--nproc", "8").out
    assert "37.39  always: policy_weights 3.44, optimizer 20.63, gradients 6.88, reference 3.44" in out
    assert "80 GB GPU  rollout 84.8, update 74.9 GiB: set rollout.engine.gpu_memory_utilization=0.52" in out
    assert "host       245.7 GiB on one host" in out
    assert "141 GB GPU rollout 121.2, update 74.9 GiB: fits" in out
    assert "disk       847.2 GiB at most (checkpoints 770.3, responses 76.9)" in out


def test_the_plan_knows_this_machines_gpus(icpo_here: Callable, tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    gpu = "NVIDIA A10, 23028, 4, 580.65.06"
    driver.write_text(f"#!/bin/sh\necho '0, GPU-a, {gpu}'\necho '1, GPU-b, {gpu}'")
    driver.chmod(0o755)
    with_driver = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert "this GPU   rollout" in icpo_here("train", "--dry-run", env=with_driver).out
    without = icpo_here("train", "--dry-run", env=with_driver | {"CUDA_VISIBLE_DEVICES": ""}).out
    assert "GPU" not in without and "host       9.8 GiB on one host" in without


def test_a_dry_run_starts_nothing(icpo_here: Callable, tmp_path: Path) -> None:
    done = icpo_here("train", "--dry-run", cwd=tmp_path)
    assert done.status == 0
    assert "responses  60 per iteration" in done.out and "group_size: 5" in done.out
    assert list(tmp_path.iterdir()) == []


MISTAKES = {
    "unknown key": (["rollout.group_sise=3"], "nearest: rollout.group_size"),
    "unknown value": (["method.omega.schedule=warmup_dcay"], "nearest: warmup_decay"),
    "wrong type": (["rollout.group_size=many"], "'many' is not a whole number"),
    "no such file": (["nothing.yaml"], "nothing.yaml: no such file"),
    "no such model": (["model.path=./nothing"], "model.path: ./nothing: no such folder"),
    "not a model folder": (["model.path=."], "not a model folder: it has no config.json"),
    "malformed row": (
        ["data.train.source=file", "data.train.path=bad.jsonl"],
        "bad.jsonl:2: not valid JSON",
    ),
    "no rows left": (["rollout.max_prompt_tokens=4"], "no rows left"),
    "group of one": (["rollout.group_size=1"], "rollout.group_size: must be 2 or more"),
    "mini-batch": (["learner.mini_batch_prompts=5"], "5 does not divide rollout.prompts_per_iteration 6; nearest: 6"),
    "tau": (["method.tau=0"], "method.tau: 0.0 must be positive"),
    "delta": (["method.delta=-0.4"], "method.delta: -0.4 must be positive"),
    "greedy group": (["rollout.temperature=0"], "greedy responses of a group are equal"),
    "too long": (["rollout.max_response_tokens=4096"], "is over the model's 256 positions"),
    "no cache": (["rollout.engine.kv_cache_gib=0.00001"], "1e-05 is too small: a sequence of"),
    "output place": (["train.output_dir=bad.jsonl/runs"], "train.output_dir: bad.jsonl/runs: cannot be made"),
    "unknown run": (["--resume", "nosuchrun"], "--resume nosuchrun: no such run"),
    "two launchers": (["--nproc", "2", "--hostfile", "hosts"], "cannot be combined with --hostfile"),
    "no hostfile": (["--hostfile", "hosts"], "hosts: no such file"),
    "uneven ranks": (["--nproc", "2"], "3 prompts cannot be shared evenly by 2 ranks"),
    "no GPU": (["train.device=cuda"], "torch sees no GPU"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_2(
    name: str, unstarted_config: Path, tmp_path: Path, icpo_here: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jsonl").write_text('{"question": "q", "answer": "1"}\n{"question"\n')
    arguments, says = MISTAKES[name]
    done = icpo_here("train", str(unstarted_config), *arguments)
    assert done.status == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--logprob=-0.1,x", "--reward=1,1"], "'x' is not a number"),
        (["--logprob=-0.1", "--reward=1"], "2 responses or more"),
        (["--logprob=-0.1,-0.2", "--reward=1"], "1 rewards for 2 responses"),
        (["--logprob=0.1,-0.2", "--reward=1,1"], "0.1 is above 0"),
        (["--logprob=-0.1,-0.2", "--reward=1,1", "--tau=0"], "--tau: 0.0 must be positive"),
    ],
)
def test_mistakes_of_explain(arguments: list[str], says: str, icpo_here: Callable) -> None:
    done = icpo_here("explain", *arguments)
    assert (done.status, done.out) == (2, "")
    assert says in done.err


def test_a_store_that_cannot_be_used(unstarted_config: Path, tmp_path: Path, icpo_here: Callable) -> None:
    done = icpo_here("train", str(unstarted_config), "track.uri=sqlite:////proc/nowhere/x.db", cwd=tmp_path)
    assert done.status == 2
    assert "track.uri: sqlite:////proc/nowhere/x.db: cannot be used" in done.err


def test_an_unknown_model_to_get(icpo_here: Callable) -> None:
    done = icpo_here("model", "get", "smollm3")
    assert done.status == 2
    assert "unknown model 'smollm3'; nearest: smollm2" in done.err
