"""Every file of experiments/baselines and experiments/paper resolves to the numbers of its sources."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from icpo_cli.config.load import flatten, load_config, to_tree

ROOT = Path(__file__).parents[2]
SOURCES: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "docs" / "sources.yaml").read_text())
FILES = {
    f"{folder}/{path.stem}": path
    for folder in ("baselines", "paper")
    for path in sorted((ROOT / "experiments" / folder).glob("*.yaml"))
    if not path.stem.startswith("base")
}
NUMBERS = [
    *("rollout.prompts_per_iteration", "rollout.group_size", "rollout.temperature", "rollout.max_prompt_tokens"),
    *("rollout.max_response_tokens", "learner.mini_batch_prompts", "learner.learning_rate", "learner.weight_decay"),
    *("learner.adam_betas", "learner.kl_coef", "learner.clip_ratio", "method.loss_mean", "reward.answer_weight"),
    *("reward.format_weight", "train.iterations"),
]
"""Keys for which every file has an entry, be it "not stated"."""


def stated(name: str) -> dict[str, Any]:
    """{key: the number the file must have}, over all entries for the file. A key has one entry."""
    keys: dict[str, Any] = {}
    for source in (each for pattern, sources in SOURCES.items() if fnmatch(name, pattern) for each in sources):
        differs = {key: here for key, (_, here, _) in source.get("differs", {}).items() if " " not in key}
        both = source["states"] | differs
        assert not set(both) & set(keys), f"{name}: {set(both) & set(keys)} twice"
        keys |= both
    return keys


@pytest.mark.parametrize("name", FILES)
def test_a_file_resolves_to_the_numbers_of_its_sources(name: str) -> None:
    config = flatten(to_tree(load_config([str(FILES[name])])))
    expected = flatten({"": stated(name)})
    expected = {key.lstrip("."): value for key, value in expected.items()}
    assert {key: config.get(key) for key in expected} == expected


@pytest.mark.parametrize("name", FILES)
def test_every_number_has_an_entry(name: str) -> None:
    assert set(NUMBERS) <= set(stated(name))


@pytest.mark.parametrize("pattern", SOURCES)
def test_an_entry_is_of_a_file_and_names_its_source(pattern: str) -> None:
    assert any(fnmatch(name, pattern) for name in FILES)
    for source in SOURCES[pattern]:
        assert source["source"]
        assert all(there != here for there, here, _ in source.get("differs", {}).values())


def test_baselines_reward_correctness_alone_unless_the_source_rewards_the_format() -> None:
    weights = {name: load_config([str(path)]).reward for name, path in FILES.items() if name.startswith("baselines/")}
    formats = {name: (each.answer_weight, each.format_weight) for name, each in weights.items()}
    assert formats.pop("baselines/rlpr") == (0.9, 0.1)
    assert set(formats.values()) == {(1.0, 0.0)}
