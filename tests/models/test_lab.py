"""The lab model: reproducible, loadable by transformers, and available by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import icpo_cli.models.lab as lab_build
from icpo_cli.cli.model import make_first
from icpo_cli.config.schema import ModelConfig
from icpo_cli.models import locate
from icpo_cli.models.lab import TAGS, Recipe, build, make_tokenizer
from icpo_cli.models.sizes import KNOWN_MODELS, Architecture
from tests.lab import TINY

SHORT = replace(TINY, batches=20)


def test_a_recipe_gives_the_same_weights_twice_and_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    heard: list[str] = []
    build(tmp_path / "one", SHORT, heard.append)
    build(tmp_path / "two", SHORT)
    build(tmp_path / "other", replace(SHORT, seed=1))
    one, two, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.get_num_threads() == threads


def test_the_loss_falls_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_build, "SAY_EVERY", 10)
    heard: list[str] = []
    build(tmp_path, SHORT, heard.append)
    assert [line.split(":")[0] for line in heard] == ["batch 10 of 20", "batch 20 of 20"]
    first, second = (float(line.split()[-1]) for line in heard)
    assert second < first < 4.0  # at first ln 79 = 4.4


def test_the_folder_is_a_hugging_face_model(tmp_path: Path) -> None:
    build(tmp_path, SHORT)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    network = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False)
    text = "<think>3+4=7</think><answer>7</answer>"
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert len(tokens) == len(TAGS) + len("3+4=77")
    assert network(torch.tensor([tokens])).logits.shape == (1, len(tokens), len(tokenizer))


def test_the_plan_knows_its_sizes_before_it_is_made() -> None:
    planned = KNOWN_MODELS["lab"]
    made = lab_build.make_model(Recipe(), len(make_tokenizer())).config
    assert planned == Architecture.of(made.to_dict())


def test_model_get_builds_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, icpo_here: Callable) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lab_build, "Recipe", lambda: SHORT)
    monkeypatch.setattr(lab_build, "SAY_EVERY", 10)
    first = icpo_here("model", "get", "lab")
    assert first.status == 0
    assert first.out == f"{tmp_path / 'icpo' / 'models' / 'lab'}\n"
    assert "batch 20 of 20" in first.err
    again = icpo_here("model", "get", "lab")
    assert (again.out, "batch" in again.err) == (first.out, False)


def test_commands_that_need_it_build_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lab_build, "Recipe", lambda: SHORT)
    make_first(ModelConfig("lab"))
    assert "building the model lab, once" in capsys.readouterr().err
    assert (locate.cache_folder("lab") / "model.safetensors").is_file()
    make_first(ModelConfig("lab"))
    assert capsys.readouterr().err == ""
