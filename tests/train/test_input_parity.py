"""Hashes of the inputs of a run: equal across arms, different for another seed, prompt or count."""

import dataclasses
import hashlib

import numpy as np
import pytest

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import PromptSet, iteration_prompts
from icpo_cli.records import Gold, Prompt
from icpo_cli.rewards.shuffle import shuffle_golds
from icpo_cli.rng import stable_hash
from icpo_cli.train import input_parity as module
from icpo_cli.train.input_parity import input_parity, noise_iterations


def prompts(count: int) -> tuple[Prompt, ...]:
    return tuple(Prompt(f"p{n}", f"q{n}", Gold(str(n)), (1, n)) for n in range(count))


def prompt_set(train: tuple[Prompt, ...], heldout: tuple[Prompt, ...] = prompts(3)) -> PromptSet:
    return PromptSet(train, heldout, 0, 0, (), "")


def config(*settings: str) -> Config:
    sizes = ["rollout.prompts_per_iteration=4", "rollout.group_size=2", "train.iterations=6"]
    return load_config(["data.train.task=x", *sizes, *settings])


BASE = input_parity(config(), prompt_set(prompts(10)))
HASHES = BASE.keys() - {"noise_iterations"}


def changed(now: dict[str, str]) -> set[str]:
    return {name for name in HASHES if now[name] != BASE[name]}


@pytest.mark.parametrize(
    "setting",
    [
        "method=grpo",
        "method.omega.schedule=constant",
        "reward.noise.fraction=0.4",
        "reward.noise.magnitude=0.1",
        "reward.control=random",
        "learner.learning_rate=1e-3",
        "rollout.temperature=0.6",
        "name=other",
    ],
)
def test_these_settings_do_not_change_the_inputs(setting: str) -> None:
    assert changed(input_parity(config(setting), prompt_set(prompts(10)))) == set()


def test_shuffled_gold_answers_do_not_change_the_inputs() -> None:
    assert changed(input_parity(config(), prompt_set(shuffle_golds(prompts(10), 0)))) == set()


@pytest.mark.parametrize(
    ("setting", "differ"),
    [
        ("seed=1", {"order", "sampling_seeds", "noise_draws"}),
        ("train.iterations=7", {"order", "sampling_seeds", "noise_draws"}),
        ("rollout.group_size=3", {"noise_draws"}),
        ("rollout.prompts_per_iteration=3", {"order", "sampling_seeds", "noise_draws"}),
    ],
)
def test_different_draws_change_the_hashes(setting: str, differ: set[str]) -> None:
    assert changed(input_parity(config(setting), prompt_set(prompts(10)))) == differ


def test_different_prompts_change_the_hashes() -> None:
    other = (*prompts(9), dataclasses.replace(prompts(10)[9], tokens=(1, 99)))
    assert changed(input_parity(config(), prompt_set(other))) == {"prompts"}
    renamed = (*prompts(9), dataclasses.replace(prompts(10)[9], id="other"))
    assert changed(input_parity(config(), prompt_set(renamed))) == {"prompts", "order", "noise_draws"}
    assert changed(input_parity(config(), prompt_set(prompts(10), prompts(4)))) == {"heldout"}


def test_the_hashes_are_of_the_draws_of_the_loop() -> None:
    """Order and seeds as train_iteration takes them, noise as a response's reward does: written out again."""
    order, seeds, noise = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    for iteration in range(1, 7):
        batch = iteration_prompts(prompts(10), 0, iteration, 4)
        order.update(repr([prompt.id for prompt in batch]).encode())
        seeds.update(np.array([stable_hash(0, iteration, place) for place in range(4)]).tobytes())
        for prompt in batch:
            for number in range(2):
                for name in ("noise", "sign", "flip", "coin"):
                    draw = stable_hash(name, 0, iteration, prompt.id, number) / 2**62
                    noise.update(np.array(draw).tobytes())
    assert (BASE["order"], BASE["sampling_seeds"]) == (order.hexdigest(), seeds.hexdigest())
    assert BASE["noise_draws"] == noise.hexdigest()
    assert BASE["noise_iterations"] == "6 of 6, evenly spread from 1 to 6"


def test_a_long_run_hashes_the_noise_of_some_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESPONSES_HASHED", 3 * 8)
    long = config("train.iterations=101")
    assert noise_iterations(long) == [1, 51, 101]
    assert input_parity(long, prompt_set(prompts(10)))["noise_iterations"] == "3 of 101, evenly spread from 1 to 101"
    monkeypatch.setattr(module, "RESPONSES_HASHED", 1)
    assert noise_iterations(long) == [1]
