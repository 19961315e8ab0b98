"""From the command line to arms: layers, sweeps, controls, probe, folder."""

import json
from pathlib import Path

import pytest

from icpo_cli.ablate.request import read_study
from icpo_cli.ablate.study import Arm, Study, jobs_of
from icpo_cli.errors import UserError
from icpo_cli.runs.study_dir import slug

TOY = """
name: toy
about: a study of toys
base: grpo
arms:
  grpo: {method: grpo}
  icpo: {method: icpo}
"""


def write(folder: Path, text: str, name: str = "toy.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def read(study: str, *arguments: str, fetch: bool = False, **asked: object) -> Study:
    return read_study(study, arguments, fetch=fetch, **asked)  # type: ignore[arg-type]


def arms(study: Study) -> dict[str, Arm]:
    return {arm.name: arm for arm in study.arms}


def against(study: Study) -> dict[str, str | None]:
    return {arm.name: arm.against for arm in study.arms}


def test_the_order_of_layers(tmp_path: Path) -> None:
    """The study's files, FILE.yaml, the study's settings, key=value, the arm's files, the arm's own settings, seed."""
    write(
        tmp_path, "data: {train: {task: x}}\nrollout: {group_size: 2}\nlearner: {kl_coef: 0.2}\nseed: 9\n", "low.yaml"
    )
    user = write(tmp_path, "rollout: {group_size: 3}\ntrain: {iterations: 3}\nlearner: {kl_coef: 0.3}\n", "user.yaml")
    write(tmp_path, "method: {name: icpo, tau: 6}\ntrain: {eval_every: 6}\nmodel: {path: arm/model}\n", "arm.yaml")
    study = read(
        write(
            tmp_path,
            "files: [low.yaml]\n"
            "settings: {train.iterations: 4, method.tau: 4, train.save_every: 4, train.eval_every: 4}\n"
            "arms: {grpo: {method: grpo}, icpo: {files: [arm.yaml], method.tau: 7}}\n",
        ),
        user,
        "train.save_every=5",
        "train.eval_every=5",
        "model.path=user/model",
        seeds="8",
    )
    base, arm = arms(study)["grpo"].config, arms(study)["icpo"].config
    assert (base.data.train.task, base.rollout.group_size, base.learner.kl_coef) == ("x", 3, 0.3)
    assert (base.train.iterations, base.train.save_every, base.train.eval_every) == (4, 5, 5)
    assert (base.model.path, base.seed) == ("user/model", 8)
    assert (arm.model.path, arm.train.eval_every, arm.method.tau, arm.method.name) == ("arm/model", 6, 7.0, "icpo")
    assert arm.train.save_every == 5
    # Without a file of the study or the user, the quickstart is the base.
    assert read(write(tmp_path, TOY)).arms[0].config.data.train.task == "basic_arithmetic"


def test_a_base_file_is_not_applied_again_over_the_settings_of_the_user() -> None:
    study = read("scale", "train.eval_every=7", "data.train.path=other/data")
    for arm in study.arms:
        assert (arm.config.train.eval_every, arm.config.data.train.path) == (7, "other/data")
    overrides = arms(study)["qwen2.5-14b-icpo"].overrides
    own = {"model.path": "Qwen/Qwen2.5-14B", "method.name": "icpo", "method.delta": 0.3}
    assert own.items() <= overrides.items() and not {"train.eval_every", "data.train.path"} & overrides.keys()


def test_arms_are_compared_with_the_base_or_the_arm_that_they_name(tmp_path: Path) -> None:
    text = TOY.replace("base: grpo", "base: icpo") + "  third: {method: icpo, method.tau: 3}\nagainst: {third: grpo}\n"
    assert list(against(read(write(tmp_path, text))).items()) == [("icpo", None), ("grpo", "icpo"), ("third", "grpo")]


def test_a_sweep_makes_an_arm_of_each_value_that_has_an_effect(tmp_path: Path) -> None:
    study = read(write(tmp_path, TOY), sweep=["method.delta=0.3,0.4,0.50"])
    # 0.4 is icpo itself; grpo has no delta.
    assert list(against(study).items()) == [
        ("grpo", None),
        ("icpo", "grpo"),
        ("icpo delta=0.3", "grpo"),
        ("icpo delta=0.5", "grpo"),
    ]
    arm = arms(study)["icpo delta=0.3"]
    assert arm.overrides == {"method.name": "icpo", "method.delta": 0.3}
    assert arm.config.method.delta == 0.3


def test_a_sweep_over_methods(tmp_path: Path) -> None:
    study = read(write(tmp_path, TOY), sweep=["method=dapo"])
    assert list(arms(study))[2:] == ["grpo method=dapo"]  # the icpo arm with DAPO is the same one
    assert arms(study)["grpo method=dapo"].config.learner.clip_ratio_high == 0.28


def test_a_swept_arm_is_compared_with_the_same_value_of_the_other_arm() -> None:
    found = against(read("noise", sweep=["reward.noise.fraction=0.2,0.4"]))
    assert found["grpo-noise noise.fraction=0.2"] == "grpo"
    assert found["icpo-noise noise.fraction=0.2"] == "grpo-noise noise.fraction=0.2"
    assert len(found) == 6


def test_sweeps_one_at_a_time_and_as_a_grid(tmp_path: Path) -> None:
    text = TOY + "dials: {method.delta: [0.3, 0.4], method.tau: [1, 2]}\ndial_arms: [icpo]\n"
    path = write(tmp_path, text)
    assert list(arms(read(path)))[2:] == ["icpo delta=0.3", "icpo tau=1"]
    assert list(arms(read(path, grid=True)))[2:] == [
        "icpo delta=0.3 tau=1",
        "icpo delta=0.3 tau=2",
        "icpo delta=0.4 tau=1",
    ]
    assert list(arms(read(path, sweep=["method.tau"])))[2:] == ["icpo tau=1"]
    assert list(arms(read(path, sweep=["method.tau=1", "method.delta=0.5"], grid=True)))[2:] == ["icpo tau=1 delta=0.5"]


def test_a_grid_leaves_out_settings_without_effect(tmp_path: Path) -> None:
    sweep = ["method.omega.schedule=constant,warmup_retention", "method.omega.warmup_fraction=0.1,0.3"]
    assert list(arms(read(write(tmp_path, TOY), sweep=sweep, grid=True)))[2:] == [
        "icpo omega.schedule=constant",
        "icpo omega.schedule=warmup_retention omega.warmup_fraction=0.1",
        "icpo omega.schedule=warmup_retention omega.warmup_fraction=0.3",
    ]


def test_controls_of_the_option_and_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, TOY + "controls: [shuffled_golds]\n")
    study = read(path, controls=["random_reward", "random_reward"], sweep=["method.tau=1"])
    assert list(against(study).items())[2:] == [
        ("icpo tau=1", "grpo"),
        ("grpo shuffled_golds", "grpo"),
        ("grpo random_reward", "grpo"),
        ("icpo shuffled_golds", "grpo shuffled_golds"),
        ("icpo random_reward", "grpo random_reward"),
    ]
    assert arms(study)["icpo random_reward"].config.reward.control == "random"
    assert arms(study)["grpo shuffled_golds"].config.reward.control == "shuffled_golds"
    assert [name for name in arms(read("schedule", controls=["random_reward"])) if "random" in name] == [
        "grpo random_reward",
        "warmup_decay random_reward",
    ]


def test_sensitivity_sweeps_one_setting_at_a_time() -> None:
    study = read("sensitivity")
    turned = [arm.overrides for arm in study.arms[2:]]
    assert {key for overrides in turned for key in overrides} == {
        "method.name",
        "method.delta",
        "method.tau",
        "method.omega.max",
        "method.omega.warmup_fraction",
        "method.confidence",
        "method.advantage.std",
    }
    assert all(len(overrides) == 2 for overrides in turned)
    assert {arm.against for arm in study.arms[1:]} == {"icpo"}


def test_the_study_folder_does_not_depend_on_seeds_and_paths(tmp_path: Path) -> None:
    path = write(tmp_path, TOY)
    folder = read(path).folder
    assert folder.parent == Path("studies") and folder.name.startswith("toy-") and len(folder.name) == len("toy-") + 8
    assert read(path, "train.save_every=3", "track.experiment=other", seeds="3,4").folder == folder
    assert read(path, "train.output_dir=/scratch/runs").folder == Path("/scratch/studies") / folder.name
    assert read(path, "train.iterations=15").folder != folder
    assert read(path, controls=["random_reward"]).folder != folder


def test_jobs_run_seed_by_seed_with_own_names_and_folders(tmp_path: Path) -> None:
    study = read(write(tmp_path, TOY), seeds="3,1", sweep=["method.delta=0.3"])
    jobs = jobs_of(study, "parent")
    assert [(job.seed, job.arm) for job in jobs] == [
        (seed, arm) for seed in (3, 1) for arm in ("grpo", "icpo", "icpo delta=0.3")
    ]
    job = jobs[-1]
    assert job.folder == study.folder / "icpo-delta-0.3" / "seed-1"
    assert (job.config.name, job.config.seed) == ("toy icpo delta=0.3 seed 1", 1)
    assert (job.config.train.output_dir, job.config.track.parent) == (str(job.folder), "parent")
    assert {job.config.train.shared_start for job in jobs} == {str(study.folder / "start")}
    assert jobs_of(read(write(tmp_path, TOY), "train.shared_start=mine"), "p")[0].config.train.shared_start == "mine"
    assert slug("a/../b c") == "a-..-b-c"


def test_a_probe_trains_for_its_epochs_and_the_arms_on_what_it_selects(tmp_path: Path) -> None:
    study = read("coarse", "data.train.size=250", "data.heldout=null")
    assert study.probe is not None and study.probe_counted and study.probe_run is None
    assert study.probe.train.iterations == 21  # 250 questions, 12 an iteration
    assert (study.probe.method.name, study.probe.data.train.size) == ("grpo", 250)
    for arm in study.arms:
        assert arm.config.data.train.path == str(study.folder / "coarse.jsonl")
        assert arm.config.train.iterations == 14
        assert arm.config.data.heldout == study.probe.data.heldout


def test_an_epoch_covers_the_questions_that_are_not_held_out(tmp_path: Path) -> None:
    train = [{"question": f"q{number}", "answer": "1"} for number in range(40)]
    write(tmp_path, "".join(json.dumps(row) + "\n" for row in train), "train.jsonl")
    write(tmp_path, "".join(json.dumps(row) + "\n" for row in train[:10]), "heldout.jsonl")
    files = [f"data.{name}={{source: file, path: {tmp_path / name}.jsonl}}" for name in ("train", "heldout")]
    study = read(write(tmp_path, TOY + "probe: {method: grpo, epochs: 2}\n"), *files)
    assert study.probe is not None and study.probe.train.iterations == 5  # 2 x 30 questions, 12 an iteration


def test_a_dry_run_does_not_download_a_data_set_to_count_it() -> None:
    hub = ("data.train.source=hub", "data.train.path=no/such")
    study = read("coarse", *hub)
    assert study.probe is not None and not study.probe_counted
    with pytest.raises(UserError, match="data set no/such, split train: cannot be loaded"):
        read("coarse", *hub, fetch=True)


def test_an_earlier_run_can_be_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("abc1", "def2"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "config.yaml").touch()
    letters = "{source: file, path: other.jsonl, choices_column: options, kind: letter}"
    (tmp_path / "runs" / "def2" / "config.yaml").write_text(f"data: {{train: {letters}}}\n")
    one, other = read("coarse", probe="abc"), read("coarse", probe="runs/def2")
    sources = [study.arms[0].config.data.train for study in (one, other)]
    assert [(source.choices_column, source.kind) for source in sources] == [(None, "auto"), ("choices", "letter")]
    assert one.probe_run == "runs/abc1" and other.probe_run == str(tmp_path / "runs/def2")
    assert len({one.folder, other.folder, read("coarse").folder}) == 3


MISTAKES = {
    "unknown key of an arm": (
        "arms: {a: {method.dlta: 1}}",
        "toy.yaml: arm a: unknown key 'method.dlta'; nearest: method.delta",
    ),
    "unknown method of an arm": ("arms: {a: {method: gpro}}", "unknown method 'gpro'; nearest: grpo"),
    "wrong type": ("arms: {a: {method.delta: big}}", "toy.yaml: arm a: method.delta: 'big' is not a number"),
    "delta of grpo": (
        "arms: {a: {method: grpo, method.delta: 0.3}}",
        "toy.yaml: arm a: method.delta: has no effect: method grpo has no bonus",
    ),
    "a schedule of grpo": (
        "arms: {a: {method: {name: grpo, omega: {schedule: constant}}}}",
        "toy.yaml: arm a: method.omega.schedule: has no effect: method grpo has no bonus",
    ),
    "magnitude without noise": (
        "arms: {a: {reward.noise.magnitude: 0.3, reward.noise.fraction: 0}}",
        "toy.yaml: arm a: reward.noise.magnitude: has no effect: reward.noise.fraction is 0",
    ),
    "equal arms": ("arms: {a: {}, b: {method: grpo}, c: {method.delta: 0.4}}", "arms 'a' and 'c' are equal"),
    "arms equal in effect": ("arms: {a: {method: grpo}, b: {method.bonus: none}}", "arms 'a' and 'b' are equal"),
    "a seed of an arm": ("arms: {a: {seed: 3}}", "toy.yaml: arm a: seed: a study's seeds are set by --seeds"),
    "folders that are one": (
        "arms: {a b: {method: icpo}, a-b: {method: grpo}}",
        "arm 'a-b': its folder a-b is that of arm 'a b'",
    ),
    "a folder of the study": ("arms: {probe: {}}", "arm 'probe': its folder probe is that of the study's own"),
    "a dial without values": ("arms: {a: {}}\ndials: {method.delta: []}", "dials: method.delta: no values"),
    "a dial of no key": (
        "arms: {a: {}}\ndials: {method.dlta: [1]}",
        "toy.yaml: dials: unknown key 'method.dlta'; nearest: method.delta",
    ),
    "a dial without effect": (
        "arms: {a: {method: grpo}}\ndials: {method.delta: [1]}",
        "dials: method.delta: has no effect in any arm: method grpo has no bonus",
    ),
    "an unknown control": (
        "arms: {a: {}}\ncontrols: [random_rewards]",
        "controls: unknown control 'random_rewards'; nearest: random_reward",
    ),
    "epochs": ("arms: {a: {}}\nprobe: {epochs: 0}", "probe: epochs: 0 is not a whole number"),
    "iterations of a probe": ("arms: {a: {}}\nprobe: {train.iterations: 3}", "train.iterations: follows from epochs"),
    "no such file": ("arms: {a: {files: [nothing.yaml]}}", "nothing.yaml: no such file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_study_is_one_line(name: str, tmp_path: Path) -> None:
    text, says = MISTAKES[name]
    with pytest.raises(UserError) as error:
        read(write(tmp_path, f"{text}\n"))
    assert says in str(error.value) and len(str(error.value).splitlines()) == 1
