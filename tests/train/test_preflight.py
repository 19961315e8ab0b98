"""Checks before an engine starts: folders that cannot be written to, gold answers that are shuffled or too long."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.errors import UserError
from icpo_cli.grading.verifier import Verifier
from icpo_cli.models.sizes import KNOWN_MODELS
from icpo_cli.records import Gold
from icpo_cli.train.preflight import Room, TrainInputs, check_room, preflight


@pytest.fixture
def prepare(unstarted_config: Path) -> Callable[..., TrainInputs]:
    def prepared(*settings: str) -> TrainInputs:
        found = preflight(load_config([str(unstarted_config), *settings]), 1)
        found.verifier.close()
        return found

    return prepared


def test_only_training_prompts_get_shuffled_golds(
    prepare: Callable[..., TrainInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain, shuffled = prepare(), prepare("reward.control=shuffled_golds")
    assert plain.golds_unmoved == len(plain.prompts.train)
    assert shuffled.golds_unmoved == 0
    assert shuffled.prompts.heldout == plain.prompts.heldout
    pairs = list(zip(plain.prompts.train, shuffled.prompts.train, strict=True))
    assert all((a.id, a.question, a.tokens) == (b.id, b.question, b.tokens) for a, b in pairs)
    assert all(a.gold.answer != b.gold.answer for a, b in pairs)
    assert shuffled.prompts.fingerprint != plain.prompts.fingerprint
    other = prepare("reward.control=shuffled_golds", "seed=1")
    assert [p.gold for p in other.prompts.train] != [p.gold for p in shuffled.prompts.train]
    assert prepare("reward.control=random").prompts == plain.prompts


def test_a_reference_answer_fits_into_a_response_and_the_model(
    prepare: Callable[..., TrainInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^data.train: the answer of question 0 has \d+ tokens, over rollout.max_resp"):
        prepare("method=verifree", "rollout.max_response_tokens=1")
    with pytest.raises(UserError, match=r"it exceeds the model's 256 positions"):
        prepare("method=rlpr", "rollout.max_response_tokens=224")
    assert prepare("method=grpo", "rollout.max_response_tokens=224").prompts.train


@pytest.mark.parametrize("key", ["train.output_dir", "train.shared_start"])
def test_the_error_for_an_invalid_folder_names_it(
    key: str, prepare: Callable[..., TrainInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(UserError, match=rf"^{key}: .*/file/below: cannot be made: .*/file is not a folder$"):
        prepare(f"{key}={tmp_path / 'file' / 'below'}")


PAPER = Path(__file__).parents[2] / "experiments" / "paper"


def room_warnings(model: str, room: Room, ranks: int, *settings: str) -> tuple[str, ...]:
    config = load_config([str(PAPER / f"{model}-icpo.yaml"), *settings])
    return check_room(config, KNOWN_MODELS[config.model.path], ranks, room)


def test_what_does_not_fit_a_gpu_is_said_before_the_start() -> None:
    h100 = Room(host=2000, disk=2000, card=79.1, ranks=8)
    with pytest.raises(UserError, match=r"^GPU memory: a rollout needs 84\.8.*; set rollout.engine.gpu_memory_u"):
        room_warnings("qwen2.5-14b", h100, 8)
    assert room_warnings("qwen2.5-14b", h100, 8, "rollout.engine.gpu_memory_utilization=0.52") == ()
    [warning] = room_warnings("qwen2.5-7b", h100, 8)  # only a long group does not fit
    assert warning.endswith("set learner.gradient_checkpointing=true")
    assert room_warnings("qwen2.5-7b", Room(host=2000, disk=2000, card=139.7, ranks=8), 8) == ()


def test_disk_and_host_memory_are_checked() -> None:
    with pytest.raises(UserError, match=r"^train.output_dir: runs has 100\.0 GiB free, one checkpoint takes 192\.6"):
        room_warnings("qwen2.5-14b", Room(host=2000, disk=100, card=139.7, ranks=8), 8)
    disk, host = (
        room_warnings("qwen2.5-14b", room, 8)
        for room in (Room(host=2000, disk=500, card=139.7, ranks=8), Room(host=128, disk=2000, card=139.7, ranks=8))
    )
    assert len(disk) == 1 and disk[0].startswith("disk may not suffice: up to 847")
    assert len(host) == 1 and host[0].startswith("memory may not suffice: up to 245")
    with pytest.raises(UserError, match=r"^memory: optimizer and sampler alone need 192"):
        room_warnings("qwen2.5-14b", Room(host=64, disk=2000, card=None, ranks=1), 1, "rollout.engine.kv_cache_gib=4")


def test_many_questions_are_tokenized_and_checked_once(
    prepare: Callable[..., TrainInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checked: list[int] = []
    check_golds = Verifier.check_golds

    def counted(verifier: Verifier, golds: Sequence[Gold]) -> list[str | None]:
        checked.append(len(golds))
        return check_golds(verifier, golds)

    monkeypatch.setattr(Verifier, "check_golds", counted)
    plain = prepare()
    settings = [f"model.path={plain.model}", "data.train.size=200"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("icpo_cli.train.preflight.CACHED_FROM", 60)
    checked.clear()
    first, again = prepare(*settings), prepare(*settings)
    assert again.prompts == first.prompts
    assert checked.count(200) == 1 and len(checked) == 3  # the few held-out questions are not cached
    assert len(list((tmp_path / "cache" / "icpo" / "data").glob("*.json"))) == 2
    monkeypatch.setattr(Verifier, "version", "of other rules")
    assert prepare(*settings).prompts == first.prompts
    assert checked.count(200) == 2
