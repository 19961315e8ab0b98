"""The result before the first iteration is shared between runs for which it is equal, and only these."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config, RewardConfig
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.evaluator import Evaluator
from icpo_cli.evaluate.plan import heldout_task
from icpo_cli.evaluate.score import EvalResult
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Gold, Group, Prompt, Response
from tests.evaluate.benchmark import make_task, with_prompts

ALONE = Ranks(0, 1, 1, torch.device("cpu"))
HELDOUT = [Prompt(str(n), f"{n} + 1 = ?", Gold(str(n + 1)), (7, n)) for n in range(4)]


class GroupSampler:
    """Half of the responses are right, by the prompt's last token; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def sample(self, prompts: Sequence[Prompt], seeds: Sequence[int], count: int, temperature: float) -> list[Group]:
        self.calls += 1
        return [Group(prompt, (self._response(prompt.tokens[-1]),) * count) for prompt in prompts]

    def _response(self, n: int) -> Response:
        return Response(f"<answer>{n + 1 if n % 2 else 0}</answer>", (5, 6, 7), (-0.1, -0.2, -0.3), "stop")


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(RewardConfig()) as made:
        yield made


@dataclasses.dataclass
class Bench:
    """Makes evaluators of runs that share a folder and a model."""

    folder: Path
    verifier: Verifier
    notes: list[str]

    def config(self, *settings: str) -> Config:
        return load_config(["data.train.task=x", f"train.shared_start={self.folder}", *settings])

    def evaluator(self, *settings: str, model: Path | None = None) -> tuple[Evaluator, GroupSampler]:
        sampler: Any = GroupSampler()
        folder = model or self.folder / "model"
        config = self.config(*settings)
        return Evaluator(config, folder, sampler, self.verifier, ALONE, self.notes.append), sampler

    def heldout(
        self,
        *settings: str,
        iteration: int = 0,
        prompts: Sequence[Prompt] = HELDOUT,
        model: Path | None = None,
    ) -> tuple[EvalResult, int]:
        """The result of a new run, and the number of calls of its sampler."""
        evaluator, sampler = self.evaluator(*settings, model=model)
        result = evaluator.evaluate(iteration, heldout_task(self.config(*settings), prompts))
        return result, sampler.calls


@pytest.fixture
def bench(tmp_path: Path, verifier: Verifier) -> Bench:
    make_model(tmp_path / "model", b"weights")
    return Bench(tmp_path, verifier, [])


def make_model(folder: Path, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_the_second_run_uses_the_result_of_the_first(bench: Bench) -> None:
    measured, calls = bench.heldout()
    assert (measured.avg_at_k, measured.n, calls, bench.notes) == (50.0, 4, 1, [])
    taken, calls = bench.heldout()
    assert repr(taken) == repr(measured)  # seconds are equal too; NaN is not equal to itself
    assert calls == 0
    [path] = bench.folder.glob("heldout-*.json")
    assert bench.notes == [f"heldout before the first iteration: reused from {path}"]


def test_a_cached_result_is_equal(bench: Bench) -> None:
    task = with_prompts(make_task(count=5, k=3, limit=4))
    measured = bench.evaluator("eval.pass_at=[2,3]")[0].evaluate(0, task)
    second, not_called = bench.evaluator("eval.pass_at=[2,3]")
    taken = second.evaluate(0, task)
    assert not_called.calls == 0
    assert repr(taken) == repr(measured)  # NaN is not equal to itself
    assert vars(taken).keys() == vars(measured).keys() and taken.missing_ids == measured.missing_ids == ()
    assert taken.pass_at_k.keys() == {2, 3} and taken.missing.questions == 1


def test_after_an_iteration_each_run_computes_its_own(bench: Bench) -> None:
    for iteration in (1, 10):
        assert bench.heldout(iteration=iteration)[1] == 1
    assert list(bench.folder.glob("heldout-*")) == []


SAME = (
    "method=grpo",
    "method.omega.max=0.5",
    "reward.noise.fraction=0.4",
    "reward.control=random",
    "reward.control=shuffled_golds",
    "reward.format_weight=0",
    "learner.learning_rate=1e-3",
    "train.iterations=7",
    "rollout.group_size=9",
    "rollout.temperature=0.5",
    "name=other",
    "track.parent=abc",
    "data.train.size=5",
)
OTHER = (
    "seed=1",
    "eval.k=2",
    "eval.temperature=0.5",
    "rollout.max_response_tokens=16",
    "rollout.engine.max_num_seqs=8",
    "model.dtype=float32",
    "reward.extract=auto",
    "reward.rule=rlpr",
)


@pytest.mark.parametrize("setting", SAME)
def test_results_are_shared_if_a_setting_does_not_affect_them(setting: str, bench: Bench) -> None:
    bench.heldout()
    assert bench.heldout(setting)[1] == 0


@pytest.mark.parametrize("setting", OTHER)
def test_results_are_not_shared_if_a_setting_affects_them(setting: str, bench: Bench) -> None:
    bench.heldout()
    assert bench.heldout(setting)[1] == 1


CHANGES: dict[str, Callable[[Prompt], Prompt]] = {
    "tokens": lambda prompt: dataclasses.replace(prompt, tokens=(8, *prompt.tokens)),
    "gold": lambda prompt: dataclasses.replace(prompt, gold=Gold("5")),
    "id": lambda prompt: dataclasses.replace(prompt, id=f"x{prompt.id}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_questions_are_not_shared(change: str, bench: Bench) -> None:
    bench.heldout()
    assert bench.heldout(prompts=[CHANGES[change](HELDOUT[0]), *HELDOUT[1:]])[1] == 1


def test_other_weights_or_verifiers_are_not_shared(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.heldout()
    assert bench.heldout(model=make_model(bench.folder / "other", b"WEIGHTS"))[1] == 1
    monkeypatch.setattr("icpo_cli.grading.verifier.VERIFIER_VERSION", "next")
    assert bench.heldout()[1] == 1


def test_results_with_errors_are_not_shared(bench: Bench) -> None:
    slow = [*HELDOUT, Prompt("slow", "?", Gold("{"), (7, 1))]  # a gold answer that cannot be read is an error
    measured, _ = bench.heldout(prompts=slow)
    assert measured.verdicts["error"] == 1
    assert bench.heldout(prompts=slow)[1] == 1 and bench.notes == []
