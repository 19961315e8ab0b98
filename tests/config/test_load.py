import re
from pathlib import Path

import pytest
import yaml

from icpo_cli.ablate.study import is_study_file
from icpo_cli.config.load import diff, load_config, preset_names, resolve, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path for path in (ROOT / "experiments").rglob("*.yaml") if not is_study_file(path))
"""Experiments that are not studies; studies have their own tests."""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_layers_files_left_to_right_then_overrides(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 1\nrollout: {group_size: 3, temperature: 0.6}\n")
    first = write(tmp_path / "first.yaml", "include: base.yaml\nseed: 2\n")
    second = write(tmp_path / "second.yaml", "rollout: {group_size: 4}\n")
    config = load_config([first, second, "rollout.max_prompt_tokens=7"])
    assert (config.seed, config.rollout.temperature) == (2, 0.6)
    assert (config.rollout.group_size, config.rollout.max_prompt_tokens) == (4, 7)
    assert config.rollout.max_response_tokens == Config().rollout.max_response_tokens


def test_defaults_are_the_papers_table_6() -> None:
    config = load_config([])
    assert (config.rollout.prompts_per_iteration, config.rollout.group_size) == (768, 5)
    assert (config.learner.mini_batch_prompts, config.learner.learning_rate) == (192, 1e-6)
    assert (config.learner.kl_coef, config.learner.clip_ratio, config.train.iterations) == (0.001, 0.2, 500)


def test_explicit_keys_override_the_preset() -> None:
    assert load_config(["method=dapo"]).learner.kl_coef == 0.0
    assert load_config(["learner.kl_coef=0.5", "method=dapo"]).learner.kl_coef == 0.5
    assert load_config(["method.omega.max=0", "method=icpo"]) == load_config(["method=icpo", "method.omega.max=0"])


def test_the_methods_are_presets() -> None:
    known = "cde dapo dr_grpo general_reasoner grpo icpo intuitor oat_zero prime reinforce rloo rlpr simplerl_zoo"
    assert preset_names() == [*known.split(), "ttrl", "verifree"]
    dr_grpo = load_config(["method=dr_grpo"]).method
    assert (dr_grpo.bonus, dr_grpo.advantage.std, dr_grpo.loss_mean) == ("none", "none", "constant")
    dapo = load_config(["method=dapo"])
    assert (dapo.method.loss_mean, dapo.learner.clip_ratio_high) == ("token", 0.28)


def test_a_bonus_is_added_to_a_method_that_has_none() -> None:
    config = load_config(["method=rloo+icpo", "method.delta=0.3"])
    assert (config.method.name, config.method.bonus, config.method.delta) == ("rloo+icpo", "preference", 0.3)
    assert config.method.advantage.baseline == "leave_one_out"
    cde = load_config(["method=dapo+cde"])
    assert (cde.method.bonus, cde.method.confidence, cde.learner.kl_coef) == ("perplexity", "mean_logprob", 0.0)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("rloo+grpo", "method: rloo+grpo: grpo has no bonus to add"),
        ("cde+icpo", "method: cde+icpo: has two bonuses"),
        ("rloo+icpoo", "method: unknown method 'icpoo'; nearest: icpo"),
        ("rloo+", "method: unknown method ''"),
    ],
)
def test_presets_that_cannot_be_combined_are_refused(method: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load_config([f"method={method}"])


def test_the_resolved_configuration_repeats_itself(tmp_path: Path) -> None:
    config = load_config(["method=dapo", "data.train.params={a: [1, 2]}", "learner.learning_rate=3e-5"])
    assert load_config([write(tmp_path / "stored.yaml", to_yaml(config))]) == config


def test_diff_names_what_differs() -> None:
    assert diff(load_config([]), load_config(["seed=3", "method=grpo"])) == {
        "seed": (0, 3),
        "method.name": ("icpo", "grpo"),
        "method.bonus": ("preference", "none"),
    }


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[str(path.relative_to(ROOT)) for path in EXPERIMENTS])
def test_every_shipped_experiment_resolves(path: Path) -> None:
    from icpo_cli.train.check import check
    from icpo_cli.train.plan import plan

    config = load_config([str(path)])
    if "base" not in path.stem:
        check(config)
        assert plan(config, 1).responses > 0


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("rollout.group_sise=3", "unknown key 'rollout.group_sise'; nearest: rollout.group_size"),
        ("rollout.spread_share=1", "'rollout.spread_share' is now called rollout.min_std_ratio"),
        ("group_size=3", "unknown key 'group_size'; nearest: rollout.group_size"),
        ("learner.lr=1", "unknown key 'learner.lr'"),
        ("rollout.group_size=abc", "rollout.group_size: 'abc' is not a whole number"),
        ("rollout.group_size=2.5", "rollout.group_size: 2.5 is not a whole number"),
        ("rollout.group_size=", "rollout.group_size: nothing is not a whole number"),
        ("learner.learning_rate=fast", "learner.learning_rate: 'fast' is not a number"),
        ("learner.gradient_checkpointing=perhaps", "'perhaps' is not true or false"),
        ("rollout=3", "rollout: 3 is not a section; its keys: prompts_per_iteration"),
        ("method=icpoo", "unknown method 'icpoo'; nearest: icpo"),
        ("method.omega.schedule=warmup_dcay", "unknown value 'warmup_dcay'; nearest: warmup_decay"),
        ("train.device=tpu", "unknown value 'tpu'"),
        ("eval.pass_at=[a]", "eval.pass_at.0: 'a' is not a whole number"),
        ("eval.pass_at=[1,[2]]", "eval.pass_at.1: [2] is not a whole number"),
        ("eval.benchmarks={a: 1}", "eval.benchmarks: {'a': 1} is not a list"),
        ("data.train.params=[1]", "data.train.params: [1] is not a section of keys and values"),
        ("model.dtype=[1]", "model.dtype: unknown value '[1]'"),
        ("data.train.params=3", "data.train.params: 3 is not a section of keys and values"),
        ("data.examples=[{question: a, reason: b}]", "unknown key 'data.examples.0.reason'"),
        ("name=${oc.env:HOME}", "'${' is not allowed"),
        ("missing.yaml", "missing.yaml: no such file"),
    ],
)
def test_mistakes_are_one_line_that_names_key_and_remedy(argument: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config([argument])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\n  name: x\n", "not valid YAML"),
        ("- a\n- b\n", "must contain keys and values"),
        ("include: self.yaml\n", "includes itself"),
        ("seed: many\n", "seed: 'many' is not a whole number"),
        ("name: ${env:HOME}\n", "is not allowed"),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "self.yaml", text)
    with pytest.raises(UserError) as caught:
        load_config([path])
    assert str(caught.value).startswith(path) or path in str(caught.value)
    assert says in str(caught.value)


def test_no_tag_of_yaml_runs_code(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.yaml", f"name: !!python/object/apply:os.system ['touch {tmp_path}/ran']\n")
    with pytest.raises(UserError):
        load_config([path])
    assert not (tmp_path / "ran").exists()


def test_resolve_of_nothing_is_the_schema_and_icpo() -> None:
    assert yaml.safe_load(to_yaml(resolve([])))["method"]["name"] == "icpo"
