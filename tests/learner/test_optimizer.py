"""The optimizer has the settings of its config keys; the process model has its own."""

from pathlib import Path

import pytest
import torch
import yaml

from icpo_cli.config.load import load_config, to_tree
from icpo_cli.config.schema import Config
from icpo_cli.learner.optimizer import adamw
from icpo_cli.train.session import process_model_config

PRIME = ["method=prime", "learner.weight_decay=0.01"]


def groups_of(config: Config) -> tuple[tuple[float, float], float, float]:
    """The optimizer's betas, weight decay and learning rate."""
    group = adamw([torch.nn.Parameter(torch.zeros(1))], config.learner).param_groups[0]
    return group["betas"], group["weight_decay"], group["lr"]


def test_betas_and_weight_decay_reach_the_optimizer() -> None:
    assert groups_of(load_config([])) == ((0.9, 0.999), 0.01, 1e-6)
    settings = ["learner.adam_betas=[0.8,0.95]", "learner.weight_decay=0", "learner.learning_rate=1e-3"]
    assert groups_of(load_config(settings)) == ((0.8, 0.95), 0.0, 1e-3)


def test_the_process_model_has_its_own_weight_decay_and_gradient_clip() -> None:
    own = ["reward.process.weight_decay=0", "reward.process.max_grad_norm=10", "reward.process.learning_rate=1e-5"]
    config = process_model_config(load_config([*PRIME, *own]))
    assert groups_of(config) == ((0.9, 0.999), 0.0, 1e-5)
    assert config.learner.max_grad_norm == 10.0


def test_without_settings_of_its_own_it_has_the_learners() -> None:
    config = process_model_config(load_config([*PRIME, "learner.max_grad_norm=2"]))
    assert (config.learner.weight_decay, config.learner.max_grad_norm) == (0.01, 2.0)


@pytest.mark.parametrize("method", ["prime", "verifree", "reinforce", "intuitor"])
def test_a_stored_configuration_of_an_earlier_version_keeps_its_meaning(tmp_path: Path, method: str) -> None:
    earlier = load_config([f"method={method}", "method.loss_mean=response", "rollout.temperature=1.0"])
    tree = to_tree(earlier)
    del tree["learner"]["adam_betas"]
    del tree["reward"]["process"]["weight_decay"], tree["reward"]["process"]["max_grad_norm"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    assert load_config([str(path)]) == earlier
    assert earlier.learner.adam_betas == [0.9, 0.999]
