"""A store as icpo leaves it, made in seconds without an engine: small made-up numbers, written by the real code.

A study with two training runs of three iterations (GRPO and ICPO) under it, evaluations under those and beside them,
a run that failed and one that is still going on.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import torch

from icpo_cli.config.load import flatten, load_config, to_tree
from icpo_cli.config.schema import Config, RewardConfig
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.benchmarks.load import LoadedBenchmark, fingerprint
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.plan import benchmark_task
from icpo_cli.evaluate.record import EvalRequest, recorded
from icpo_cli.evaluate.score import EvalResult, TaskResponses, score
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.objective.omega import omega_at
from icpo_cli.records import (
    Gold,
    Group,
    LogProbs,
    Prompt,
    Question,
    Response,
    RuleName,
    Update,
    Verdict,
    VerdictKind,
)
from icpo_cli.runs.parquet import Row
from icpo_cli.runs.run_dir import Kind, Status
from icpo_cli.track.mlflow_store import MlflowStore
from icpo_cli.track.tracker import Tracker
from icpo_cli.train.metrics import machine_metrics, response_metrics, response_table, update_metrics
from icpo_cli.train.record import RunRecord
from tests.evaluate.benchmark import SilentObserver
from tests.train.tables import KINDS, round_of

GROUPS = ("++--", "+-0-", "----", "++++", "+t--")
"""Verdicts of an iteration's five groups of four responses: one uniform, one that holds a timeout."""
HOSTILE = (
    "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">",
    "\x1b[31mred\x1b[0m\x07 [bold]rich[/bold] | pipe & \\textbf{tex} $x_1$ % #",
    "\u202etxet detrevni\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "</script><!-- ]]> {{ 7 * 7 }} \ud800",
)
"""Texts of the first group's responses, in their order."""
SHARES = {"mmlu_pro": 0.5, "gpqa": 0.3, "theoremqa": 0.4, "webinstruct": 0.6, "math500": 0.7, "minerva": 0.35}
SHARES |= {"aime24": 0.15}
"""{benchmark: default share of correct responses}."""
QUESTIONS = 20
"""Questions of each benchmark, few and complete."""


@dataclass(frozen=True)
class Made:
    """A store and its runs' ids."""

    folder: Path
    """The working directory: mlflow.db, mlartifacts/, runs/ and evals/."""
    study: str
    grpo: str
    """Under the study, as `icpo` is; finished, three iterations."""
    icpo: str
    failed: str
    """One iteration."""
    running: str
    """Two iterations so far."""
    eval_base: str
    """All seven benchmarks, responses made elsewhere, label "Qwen2.5-7B", no parent."""
    eval_grpo: str
    """All seven, under `grpo`."""
    eval_icpo: str
    eval_partial: str
    """Newer than `eval_icpo` and under `icpo` too: AIME24 alone, 5 of its questions."""


def make_store(folder: Path) -> Made:
    """In `folder`, which must be there."""
    with contextlib.chdir(folder):
        study = make_study()
        grpo = train("grpo", parent=study, settings=["method=grpo"])
        icpo = train("icpo", parent=study, settings=["method=icpo"])
        return Made(
            folder=folder,
            study=study,
            grpo=grpo,
            icpo=icpo,
            failed=train("failed", iterations=1, status=Status.FAILED),
            running=train("running", iterations=2, status=None),
            eval_base=evaluate("Qwen2.5-7B", SHARES),
            eval_grpo=evaluate(f"{grpo}/iteration-00003", {name: s + 0.05 for name, s in SHARES.items()}, grpo),
            eval_icpo=evaluate(f"{icpo}/iteration-00003", {name: s + 0.1 for name, s in SHARES.items()}, icpo),
            eval_partial=evaluate(f"{icpo}/iteration-00003", {"aime24": 0.4}, icpo, questions=5),
        )


def make_study(name: str = "schedule") -> str:
    """A study's own run, finished; its id."""
    store = MlflowStore.create(None, "icpo", name)
    store.log_params({key: value for key, value in flatten(to_tree(load_config([]))).items() if key != "seed"})
    store.log_tags({"study.name": name, "study.about": "a made-up study", "study.seeds": "0", "study.arms": "{}"})
    table = {"columns": ["arm", "Avg@1"], "rows": [["icpo", "50.0"]], "notes": []}
    texts = {
        "table.md": "| arm | Avg@1 |\n| --- | --- |\n| icpo | 50.0 |\n",
        "result.json": json.dumps({"study": name, "table": table}),
    }
    for file, text in texts.items():
        path = Path(store.run_id) / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        store.log_artifact(path)
        path.unlink()
    Path(store.run_id).rmdir()
    store.end(Status.DONE)
    return store.run_id


def train(
    name: str,
    iterations: int = 3,
    parent: str | None = None,
    status: Status | None = Status.DONE,
    settings: Sequence[str] = (),
    texts: Sequence[str] = HOSTILE,
) -> str:
    """A training run of that many of its configured three iterations; its id. `status` None: it is still running.

    `texts` are the first responses of the first group; the others say what they answer.
    """
    base = ["data.train.task=basic_arithmetic", "rollout.group_size=4", "rollout.prompts_per_iteration=5"]
    config = load_config([*base, "learner.mini_batch_prompts=5", f"name={name}", "train.iterations=3", *settings])
    tracker = Tracker.create(config, parent=parent)
    facts = {"data.fingerprint": "d" * 64, "data.train_prompts": "60", "verifier.version": "1", "device.type": "cpu"}
    tracker.describe(Kind.TRAIN, config, facts)
    record = RunRecord(tracker, ())
    record.evaluation(0, heldout(0))
    for iteration in range(1, iterations + 1):
        omega = omega_at(iteration, config.method, config.train.iterations)
        rows = iteration_rows(config, iteration, omega, texts)
        metrics = response_metrics(rows, config.rollout.group_size, omega)
        metrics |= update_metrics(
            [Update(0.1 / iteration, 0.1 / iteration, 0.001, 0.05, 0.01, None, 1.0, skipped=False)]
        )
        seconds = dict.fromkeys(("rollout", "reward", "logprobs", "update", "sync"), 0.5)
        metrics |= machine_metrics(seconds, metrics["tokens/response"], 0.0, Ranks(0, 1, 0, torch.device("cpu")))
        record.iteration(iteration, rows, metrics)
        record.evaluation(iteration, heldout(iteration))
    # In-loop accuracy on a few of a benchmark's questions, which is no evaluation of it.
    record.evaluation(iterations, score(part_of("math500", 0.5, 1, asked=4)))
    if status is not None:
        tracker.end(status)
    return tracker.run_id


def iteration_rows(config: Config, iteration: int, omega: float, texts: Sequence[str] = ()) -> list[Row]:
    """The response table of GROUPS, as the loop makes it: random log-probs, three to eight tokens a response."""
    random = torch.Generator().manual_seed(iteration + 100 * config.seed)
    said = iter(texts)
    groups, verdicts, length = [], [], config.rollout.group_size
    logprob = torch.zeros(len(GROUPS), length, 8)  # [P, G, T]
    mask, entropy = torch.zeros_like(logprob), torch.zeros_like(logprob)
    for p, kinds in enumerate(GROUPS):
        prompt = Prompt(f"sum/{iteration}/{p}", f"{p} + {iteration} = ?", Gold(str(p + iteration)), (1, 2, 3))
        responses = []
        for g in range(length):
            tokens = int(torch.randint(3, 9, (1,), generator=random))
            logprob[p, g, :tokens] = -torch.rand(tokens, generator=random)
            entropy[p, g, :tokens] = torch.rand(tokens, generator=random) / iteration
            mask[p, g, :tokens] = 1
            text = next(said, f"<think>so</think><answer>{p + iteration + (kinds[g] != '+')}</answer>")
            sampled = tuple((logprob[p, g, :tokens] + 0.01).tolist())
            responses.append(Response(text, tuple(range(tokens)), sampled, "stop"))
        groups.append(Group(prompt, tuple(responses)))
        verdicts.append([_verdict(kind, response) for kind, response in zip(kinds, responses, strict=True)])
    old = LogProbs(logprob, None, entropy, mask)
    made = round_of(groups, verdicts, old, omega, config, think=True, iteration=iteration)
    return response_table([made], range(len(groups)))


def evaluate(
    model: str,
    shares: Mapping[str, float],
    parent: str | None = None,
    questions: int = QUESTIONS,
    k: int | None = None,
    settings: Sequence[str] = (),
    verifier_version: str | None = None,
) -> str:
    """An evaluation with that share of right responses in each benchmark; its id. Partial: fewer `questions`."""
    parts = [part_of(name, share, k or BENCHMARKS[name].k, questions) for name, share in shares.items()]
    config = load_config(["data.train.task=basic_arithmetic", f"name=eval {model}", *settings])
    config = replace(config, eval=replace(config.eval, benchmarks=list(shares)))
    source = "responses" if parent is None else "model"
    tasks, facts, request = (
        [part.task for part in parts],
        {"eval.source": source},
        EvalRequest(lambda _: SilentObserver()),
    )
    verifier = _OfVersion(config.reward, verifier_version)
    with recorded(config, model, facts, tasks, {}, request, verifier, StopSignal(), parent) as run:
        return run.conclude(parts).run_id


def part_of(name: str, share: float, k: int, asked: int = QUESTIONS) -> TaskResponses:
    """The first responses, question by question, are right: round(share * asked * k) of them."""
    questions = tuple(Question(f"{name}/{n}", f"{n} + 1 = ?", Gold(str(n + 1))) for n in range(QUESTIONS))
    loaded = LoadedBenchmark(BENCHMARKS[name], questions, f"{name}.parquet", None, fingerprint(questions))
    config = load_config([f"eval.k={k}", f"eval.limit={asked}", "eval.extract=answer_tag", "eval.rule=strict"])
    task = benchmark_task(config, loaded)
    right = round(share * asked * k)
    place = count()
    verdicts = {
        key: Verdict(VerdictKind.CORRECT if next(place) < right else VerdictKind.WRONG, "7", RuleName.EXACT)
        for key in task.keys
    }
    responses = {
        (question, index): StoredResponse(question, index, "<answer>7</answer>", (5, 6, 7), "stop", 0, 0.8, -0.25)
        for question, index in task.keys
    }
    return TaskResponses(task, responses, verdicts)


def heldout(iteration: int) -> EvalResult:
    """20 questions, half of them right at first and one more an iteration."""
    right = 10 + iteration
    verdicts = {kind.value: 0 for kind in VerdictKind} | {"correct": right, "wrong": 20 - right}
    return EvalResult(
        "heldout",
        "held-out accuracy",
        20,
        1,
        5.0 * right,
        11.0,
        verdicts=verdicts,
        response_tokens_mean=5.5,
        seconds=0.5,
    )


def _verdict(mark: str, response: Response) -> Verdict:
    kind = KINDS[mark]
    return Verdict(kind, None if kind is VerdictKind.NO_ANSWER else response.text[-20:], RuleName.EXACT, "made up")


class _OfVersion(Verifier):
    """A verifier that grades nothing here, of the version asked for."""

    def __init__(self, config: RewardConfig, version: str | None) -> None:
        super().__init__(config)
        self._named = version

    @property
    def version(self) -> str:
        return self._named or super().version
