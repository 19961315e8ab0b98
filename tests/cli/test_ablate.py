"""`icpo ablate` without starting a run."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

HEAVY = ("torch", "vllm", "deepspeed", "mlflow", "transformers", "matplotlib", "scipy")
T, WARMUP = 500, 100


def rise(t: int) -> float:
    return (1 - math.cos(math.pi * t / WARMUP)) / 2


SCHEDULES = {
    # NOTES.md: omega_max 1, omega_min 0, T_w = 0.2 T
    "constant": lambda t: 1.0,
    "linear_decay": lambda t: 1 - t / T,
    "warmup_retention": lambda t: rise(t) if t < WARMUP else 1.0,
    "warmup_decay": lambda t: rise(t) if t < WARMUP else 1 - (t - WARMUP) / (T - WARMUP),
}
ARMS = {
    "schedule": ["grpo", "constant", "linear_decay", "warmup_retention", "warmup_decay"],
    "noise": ["grpo", "icpo", "grpo-noise", "icpo-noise"],
    "coarse": ["grpo", "icpo"],
    "scale": [
        f"{model}-{method}"
        for model in ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-7b-instruct", "qwen3-4b")
        for method in ("grpo", "icpo")
    ],
    "methods": ("grpo icpo simplerl_zoo oat_zero dapo rloo reinforce cde ttrl intuitor rlpr verifree prime".split()),
    "sensitivity": [
        *["icpo", "grpo"],
        *[f"icpo delta={value}" for value in ("0.2", "0.3", "0.5", "0.6")],
        *[f"icpo tau={value}" for value in ("1", "1.5", "4")],
        *[f"icpo omega.max={value}" for value in ("0.25", "0.5", "2")],
        *[f"icpo omega.warmup_fraction={value}" for value in ("0", "0.1", "0.4")],
        "icpo confidence=mean_logprob",
        *[f"icpo advantage.std={value}" for value in ("sample", "none")],
    ],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("study", ARMS)
def test_each_study_lists_its_arms(study: str, here: Path, icpo_here: Callable) -> None:
    done = icpo_here("ablate", study, "train.iterations=500", "--seeds", "0,1,2", "--dry-run", "--json")
    document = done.document
    assert done.status == 0 and done.err == ""
    assert (document["study"], document["seeds"]) == (study, [0, 1, 2])
    assert [arm["name"] for arm in document["arms"]] == ARMS[study]
    for arm in document["arms"]:
        assert arm["iterations"] == T
        assert arm["seconds_estimate"] is None or arm["seconds_estimate"] > 0
        assert list(arm["omega"]) == (POINTS if has_bonus(arm["name"]) else [])
    assert list(here.iterdir()) == []


POINTS = ["0", "50", "100", "250", "500"]


def has_bonus(arm: str) -> bool:
    return arm in SCHEDULES or arm == "cde" or re.match(r"(.+-)?icpo", arm) is not None


def test_omega_is_that_of_the_notes(here: Path, icpo_here: Callable) -> None:
    arms = icpo_here("ablate", "schedule", "train.iterations=500", "--dry-run", "--json").document["arms"]
    omega = {arm["name"]: arm["omega"] for arm in arms}
    assert omega["grpo"] == {}
    for name, formula in SCHEDULES.items():
        assert omega[name] == pytest.approx({str(t): formula(t) for t in (0, 50, 100, 250, 500)}, abs=1e-6)


def test_omega_follows_its_settings(here: Path, icpo_here: Callable) -> None:
    settings = [
        "train.iterations=500",
        "method.omega.max=0.8",
        "method.omega.min=0.2",
        "method.omega.warmup_fraction=0.5",
    ]
    arms = icpo_here("ablate", "schedule", *settings, "--dry-run", "--json").document["arms"]
    omega = {arm["name"]: arm["omega"] for arm in arms}
    assert omega["warmup_decay"]["50"] == pytest.approx(0.2 + 0.6 * (1 - math.cos(math.pi * 50 / 250)) / 2, abs=1e-6)
    assert omega["warmup_decay"]["250"] == pytest.approx(0.8, abs=1e-6)
    assert omega["linear_decay"]["100"] == pytest.approx(0.8 - 0.6 * 100 / 500, abs=1e-6)


def test_an_arm_is_told_by_what_it_overrides_and_how_it_differs(here: Path, icpo_here: Callable) -> None:
    document = icpo_here("ablate", "noise", "--dry-run", "--json").document
    arm = document["arms"][-1]
    assert arm["overrides"] == {"method.name": "icpo", "reward.noise.fraction": 0.4, "reward.noise.magnitude": 0.3}
    assert arm["differs"]["reward.noise.fraction"] == [0.0, 0.4]
    assert arm["against"] == "grpo-noise"
    assert document["folder"].startswith("studies/noise-") and document["runs"] == 12


def test_the_plan_in_words(here: Path, icpo_here: Callable) -> None:
    done = icpo_here("ablate", "schedule", "train.iterations=500", "--seeds", "4", "--dry-run")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("study schedule: ") and lines[1].startswith(
        "5 arms, seeds 4: 5 runs in studies/schedule-"
    )
    block = lines[lines.index("warmup_decay  (against grpo)") :]
    assert "  method.bonus  none → preference" in block
    drawn = block[4:7]
    assert [line.index("│") for line in drawn] == [10, 10, 10]
    rows = [line[11:].ljust(48) for line in drawn]
    columns = [sum("▁▂▃▄▅▆▇█".find(row[x]) + 1 for row in rows) for x in range(48)]
    top = columns.index(24)
    assert columns[0] == 0 and columns[:top] == sorted(columns[:top]) and 8 <= top <= 10
    assert columns[top:] == sorted(columns[top:], reverse=True) and columns[-1] == 0
    assert block[8] == "  0 at 0, 0.5 at 50, 1 at 100, 0.625 at 250, 0 at 500"
    assert list(here.iterdir()) == []


def test_runs_made_here_say_how_long_it_takes(here: Path, icpo_here: Callable) -> None:
    (here / "runs" / "one").mkdir(parents=True)
    shown = icpo_here("config", "show", str(Path(__file__).parents[2] / "experiments" / "quickstart.yaml")).out
    (here / "runs" / "one" / "config.yaml").write_text(shown)
    (here / "runs" / "one" / "journal.jsonl").write_text(
        '{"step": 0, "time_ms": 0, "metrics": {"seconds/eval": 4.0}}\n'
        '{"step": 1, "time_ms": 0, "metrics": {"seconds/iteration": 20.0}}\n'
    )
    done = icpo_here("ablate", "noise", "--seeds", "0", "--dry-run")
    assert "one after another about 19 min" in done.out  # 4 x (14 x 20 + 3 x 4) s
    assert "20.0 s per iteration, measured in 1 run with these sizes" in done.out
    together = icpo_here("ablate", "noise", "--seeds", "0", "--jobs", "2", "--dry-run")
    assert "one after another about 19 min, 2 at once about 9.7 min" in together.out


def test_slurm_shows_its_batch_script(here: Path, icpo_here: Callable) -> None:
    pytest.importorskip("submitit")
    arguments = ["--launcher", "slurm", "--slurm", "partition=gpu", "--slurm", "gpus=4", "--jobs", "2", "--dry-run"]
    done = icpo_here("ablate", "schedule", *arguments)
    assert "#SBATCH --array=0-14%2" in done.out and "#SBATCH --partition=gpu" in done.out
    document = icpo_here("ablate", "schedule", *arguments, "--json").document
    assert "#SBATCH --gpus-per-node=4" in document["script"] and document["seconds_estimate"] is None


def test_a_plan_imports_nothing_heavy(here: Path) -> None:
    code = (
        "import sys\nfrom icpo_cli.cli.app import app\n"
        "try:\n    app(['ablate', 'schedule', '--dry-run'])\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


STUDY = {"arms": {"grpo": {"method": "grpo"}, "icpo": {"method": "icpo"}}}
FILES = {
    "alone.yaml": {"arms": {"grpo": {"method": "grpo"}}},
    "self.yaml": {**STUDY, "include": "self.yaml"},
    "equal.yaml": {"arms": {"one": {"method": "icpo"}, "two": {"method.delta": 0.4}}},
    "key.yaml": {"arms": {"one": {"method.delat": 0.4}}},
    "grpo.yaml": {"arms": {"one": {"method": "grpo", "method.delta": 0.3}}},
    "schedule.yaml": {"arms": {"one": {"method": "grpo", "method.omega.schedule": "constant"}}},
    "noise.yaml": {"arms": {"one": {"method": "grpo", "reward.noise": {"fraction": 0, "magnitude": 0.3}}}},
    "base.yaml": {**STUDY, "base": "grpoo"},
    "against.yaml": {**STUDY, "against": {"icpo": "grpoo"}},
    "dial.yaml": {**STUDY, "dials": {"method.delta": []}},
    "control.yaml": {**STUDY, "controls": ["randomreward"]},
}
MISTAKES = {
    "unknown study": (["sched"], "unknown study 'sched'; nearest: schedule"),
    "no such file": (["mine.yaml"], "mine.yaml: no such file"),
    "unknown arm key": (["key.yaml"], "key.yaml: arm one: unknown key 'method.delat'; nearest: method.delta"),
    "unknown key": (["schedule", "method.dlta=1"], "method.dlta=1: unknown key 'method.dlta'; nearest: method.delta"),
    "equal arms": (["equal.yaml"], "equal.yaml: arms 'one' and 'two' are equal"),
    "delta of grpo": (["grpo.yaml"], "arm one: method.delta: has no effect: method grpo has no bonus"),
    "schedule of grpo": (["schedule.yaml"], "arm one: method.omega.schedule: has no effect: method grpo has no bonus"),
    "magnitude of nothing": (["noise.yaml"], "reward.noise.magnitude: has no effect: reward.noise.fraction is 0"),
    "a setting no arm takes": (["schedule", "method=dapo"], "method=dapo: no arm takes it: every arm sets method.name"),
    "includes itself": (["self.yaml"], "self.yaml: includes itself"),
    "base": (["base.yaml"], "base.yaml: base: no arm 'grpoo'; nearest: grpo"),
    "against": (["against.yaml"], "against.yaml: against: no arm 'grpoo'; nearest: grpo"),
    "zero jobs": (["schedule", "--jobs", "0"], "--jobs: 0 jobs at once; at least 1"),
    "too many jobs": (["schedule", "--jobs", "1000"], "--jobs: 1000 jobs at once on "),
    "no GPU": (["schedule", "train.device=cuda"], "train.device: cuda, but no GPU is visible"),
    "no seeds": (["schedule", "--seeds", ""], "--seeds: no seeds; expected integers, as in 0,1,2"),
    "repeated seeds": (["schedule", "--seeds", "1,2,1"], "--seeds: 1 is repeated"),
    "no number": (["schedule", "--seeds", "0,one"], "--seeds: 'one' is not a whole number"),
    "negative seed": (["schedule", "--seeds=-1"], "--seeds: '-1' is not a whole number"),
    "a seed as a setting": (["schedule", "seed=3"], "seed=3: seed: a study's seeds are set by --seeds"),
    "unknown control": (["schedule", "--control", "random"], "unknown control 'random'; nearest: random_reward"),
    "control of a file": (["control.yaml"], "control.yaml: controls: unknown control 'randomreward'"),
    "dial without values": (["schedule", "--dial", "method.delta="], "--dial: method.delta: no values"),
    "dial of a file": (["dial.yaml"], "dial.yaml: dials: method.delta: no values"),
    "dial the study has not": (["schedule", "--dial", "method.tau"], "--dial method.tau: no values, and study"),
    "dial twice": (["schedule", "--dial", "method.tau=1", "--dial", "method.tau=2"], "--dial method.tau: set twice"),
    "dial of no key": (["schedule", "--dial", "method.dlta=1"], "unknown key 'method.dlta'; nearest: method.delta"),
    "dial of the seed": (["schedule", "--dial", "seed=1,2"], "--dial: seed: a study's seeds are set by --seeds"),
    "dial of a wrong value": (["schedule", "--dial", "method.tau=big"], "--dial: method.tau: 'big' is not a number"),
    "dial of no arm": (
        ["alone.yaml", "--dial", "method.tau=1"],
        "--dial: method.tau: has no effect in any arm: method",
    ),
    "grid of nothing": (["schedule", "--grid"], "--grid: study schedule has no dials"),
    "probe of no study": (["schedule", "--probe", "abc"], "--probe abc: study schedule has no probe"),
    "no such probe": (["coarse", "--probe", "abc"], "--probe abc: no such run in runs/"),
    "probe without verdicts": (["coarse", "--probe", "run"], "probe run: has no verdicts by prompt"),
    "unknown launcher": (["schedule", "--launcher", "slrum"], "--launcher: unknown launcher 'slrum'; nearest: slurm"),
    "slurm's settings": (["schedule", "--slurm", "gpus=1"], "--slurm gpus=1: only with --launcher slurm"),
}


CASES = [*((name, []) for name in MISTAKES), *((name, ["--dry-run", "--json"]) for name in ("equal arms", "no seeds"))]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}{' planned' * bool(more)}" for name, more in CASES])
def test_a_mistake_is_one_line_and_status_2(name: str, options: list[str], here: Path, icpo_here: Callable) -> None:
    for file, text in FILES.items():
        (here / file).write_text(yaml.safe_dump(text))
    (here / "run").mkdir()
    (here / "run" / "config.yaml").write_text("name: run\n")
    before = sorted(here.rglob("*"))
    arguments, says = MISTAKES[name]
    done = icpo_here("ablate", *arguments, *options)
    assert done.status == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1 and "Traceback" not in done.err
    assert done.out == ""
    assert sorted(here.rglob("*")) == before


def test_json_is_one_document(here: Path, icpo_here: Callable) -> None:
    done = icpo_here("ablate", "coarse", "--dry-run", "--json")
    assert done.status == 0 and json.loads(done.out)["probe"]["iterations"] == 111
