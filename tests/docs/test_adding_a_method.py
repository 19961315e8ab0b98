"""The example method of BASELINES.md works as written."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import yaml

from icpo_cli.config.load import Layer, resolve
from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Gold, Group, Prompt, Response
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.source import SourceInput
from icpo_cli.rng import SeedKey
from tests.rewards.rewarding import NO_LOGPROBS, no_pass, no_tokens

PAGE = (Path(__file__).parents[2] / "docs" / "BASELINES.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_the_source_gives_what_the_page_says() -> None:
    defined: dict = {}
    exec(block("python"), defined)
    texts = ["<answer>4</answer>", "so 4", "<answer>5</answer>", "<answer>4</answer>"]
    group = Group(Prompt("p", "?", Gold("4"), (1,)), tuple(Response(text, (1,), (-0.1,), "stop") for text in texts))
    with Verifier(RewardConfig()) as verifier:
        inputs = SourceInput(
            [group], [group], [], NO_LOGPROBS, verifier, RewardConfig(), SeedKey(0, 1), no_tokens, no_pass, None
        )
        output = defined["from_agreement"](inputs)
    assert output.answer == [[0.5, 0.0, 0.25, 0.5]]
    assert output.columns == {"agreement": output.answer}


def test_the_preset_is_a_configuration_once_the_source_has_its_name() -> None:
    preset = yaml.safe_load(block("yaml"))
    assert preset["reward"].pop("source") == "agreement"
    config = resolve([Layer("the page", preset)])
    assert (config.method.bonus, config.reward.answer_weight, config.reward.format_weight) == ("none", 1.0, 0.0)


def test_the_registry_holds_what_the_schema_allows() -> None:
    assert set(REWARD_SOURCES) == set(get_args(get_type_hints(RewardConfig)["source"]))
