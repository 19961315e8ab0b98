import dataclasses
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.errors import UserError
from icpo_cli.evaluate.inputs import model_fingerprint, model_under_test
from icpo_cli.evaluate.plan import (
    benchmark_task,
    check_lengths,
    identity_hash,
    identity_of,
    prompts_of,
    responses_per_question,
    stop_of,
)
from icpo_cli.models.lab import make_tokenizer
from tests.evaluate.benchmark import make_benchmark, make_task, prompts_for


def test_identity_includes_everything_that_changes_the_output() -> None:
    task = make_task()
    prompts = prompts_for(task)
    config = load_config([])
    own = identity_hash(identity_of(config, "model", "vllm", task, prompts))
    assert own == identity_hash(identity_of(config, "model", "vllm", make_task(k=7, limit=2), prompts))
    changes = (
        *("eval.temperature=0.6", "eval.max_response_tokens=9", "seed=1", "model.dtype=float32"),
        *("eval.template=own", "eval.template=plain"),
    )
    others = [
        identity_of(config, "other", "vllm", task, prompts),
        identity_of(config, "model", "vllm 1", task, prompts),
        identity_of(config, "model", "vllm", task, prompts[1:]),
        identity_of(config, "model", "vllm", dataclasses.replace(task, fingerprint="x"), prompts),
        *(identity_of(load_config([change]), "model", "vllm", task, prompts) for change in changes),
    ]
    assert len({own, *map(identity_hash, others)}) == len(others) + 1


def test_k_is_the_benchmarks_own_unless_set_and_one_when_greedy() -> None:
    benchmark = make_benchmark(k=16).benchmark
    for settings, k in {"eval.k=4": 4, "seed=0": 16, "eval.temperature=0": 1}.items():
        assert responses_per_question(load_config([settings]), benchmark) == k


def test_pass_at_k_above_k_is_an_error() -> None:
    loaded = make_benchmark(k=2)
    assert benchmark_task(load_config(["eval.pass_at=[2]"]), loaded).k == 2
    with pytest.raises(UserError, match="pass@4 needs 4 responses per question, and sums has 2"):
        benchmark_task(load_config(["eval.pass_at=[1,4]"]), loaded)


def test_templates_and_the_benchmarks_own_form() -> None:
    tokenizer, task = make_tokenizer(), make_task()
    plain, own = (load_config([f"eval.template={name}"]) for name in ("plain", "own"))
    texts = [tokenizer.decode(prompts_of(config, task, tokenizer)[0].tokens) for config in (plain, own)]
    assert texts[0].startswith("0 ") and texts[1].startswith("Add: 0 ")
    assert (stop_of(plain), stop_of(own)) == (("</answer>",), ())
    inherited = load_config(["data.template=plain"])
    assert prompts_of(inherited, task, tokenizer) == prompts_of(plain, task, tokenizer)


def test_a_prompt_that_does_not_fit_is_named_and_counted() -> None:
    prompts = prompts_for(make_task(count=4))
    check_lengths("sums", prompts, 6, 10)
    with pytest.raises(UserError, match=r"sums: 2 of 4 prompts do not fit the model's 10 positions: question sums/3 "):
        check_lengths("sums", prompts, 8, 10)
    with pytest.raises(UserError, match="at most 6 fit"):
        check_lengths("sums", prompts, 8, 10)
    with pytest.raises(UserError, match=r"question sums/3 has 4 tokens, .*the prompt alone is longer"):
        check_lengths("sums", prompts, 8, 3)


def test_a_fingerprint_depends_on_files_that_affect_the_output(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        (tmp_path / name).write_text(name)
    first = model_fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("other")
    (tmp_path / "resume").mkdir()
    (tmp_path / "resume" / "state.json").write_text("{}")
    assert model_fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_text("model.safetensorz")
    assert model_fingerprint(tmp_path) != first


@pytest.fixture
def run(tmp_path: Path, untrained_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training run's folder with one checkpoint."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "abc123"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "iteration-00014").symlink_to(untrained_model)
    (folder / "config.yaml").write_text("data: {template: plain}\nmodel: {dtype: float32}\neval: {k: 3}\nseed: 5\n")
    return folder


@pytest.mark.parametrize("name", ["abc", "abc123", "runs/abc123"])
def test_template_and_dtype_are_inherited_from_the_training_run(name: str, run: Path, untrained_model: Path) -> None:
    subject, config = model_under_test(name, ["eval.temperature=0.6"])
    assert (subject.run_id, Path(subject.model.path)) == ("abc123", untrained_model)
    assert (subject.name, subject.iteration) == ("abc123/iteration-00014", 14)
    assert (config.data.template, config.model.dtype) == ("plain", "float32")
    assert (config.eval.k, config.eval.temperature, config.seed) == (None, 0.6, 0)
    assert model_under_test(name, ["data.template=r1"])[1].data.template == "r1"


def test_a_missing_checkpoint_is_an_error(run: Path) -> None:
    with pytest.raises(UserError, match="run abc123 has no checkpoint 'best'"):
        model_under_test("abc", ["eval.checkpoint=best"])
