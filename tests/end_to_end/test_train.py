"""`icpo train` through the real command: real vLLM, DeepSpeed and MLflow on a tiny model."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from icpo_cli.models.lab import make_tokenizer
from icpo_cli.runs.journal import Journal
from icpo_cli.track.tracker import CLOCKED
from tests.fork_server import ForkServer, Process

pytestmark = pytest.mark.engine


GREEDY = """
import os, sys
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING='0', VLLM_CPU_KVCACHE_SPACE='1', VLLM_CPU_OMP_THREADS_BIND='nobind')
from vllm import LLM, SamplingParams
llm = LLM(sys.argv[1], dtype='float32', enforce_eager=True, max_model_len=64, max_num_seqs=8,
          distributed_executor_backend='uni')
outputs = llm.generate(sys.argv[2:], SamplingParams(temperature=0, max_tokens=16), use_tqdm=False)
for output in outputs: print('TEXT', repr(output.outputs[0].text))
"""
"""A script that prints the greedy completions of a model folder in vLLM."""
POISONED = """
import icpo_cli.objective.methods as methods
real = methods.group_advantage
methods.group_advantage = lambda *args: real(*args) * float('nan')
from icpo_cli.__main__ import main
main()
"""
"""A script that runs `icpo` with NaN advantages."""


def test_the_folder_a_run_leaves_loads_as_it_is(
    lab_config: Path, tmp_path: Path, icpo: Callable, fork_server: ForkServer
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = icpo("train", str(lab_config), "train.iterations=2", "--json")
    assert done.status == 0, done.err
    document = done.document
    assert {"run_id", "iterations", "checkpoint", "metrics", "eval"} <= document.keys()
    folder = document["checkpoint"]

    prompts = [f"Calculate {a} + {b}." for a, b in ((1, 2), (4, 5), (9, 8))]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    texts = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out = model.generate(ids, do_sample=False, max_new_tokens=16)
        texts.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    (tmp_path / "greedy.py").write_text(GREEDY)
    generated = fork_server.run(str(tmp_path / "greedy.py"), [folder, *prompts], tmp_path)
    assert [line[5:] for line in generated.out.splitlines() if line.startswith("TEXT ")] == [repr(t) for t in texts]


def test_gemma2_trains_and_evaluates(lab_config: Path, tmp_path: Path, icpo: Callable) -> None:
    """Random weights; soft-capped attention and logits, sliding windows of 16 tokens, and no LM head of its own."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    tokenizer = make_tokenizer()
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 128}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "sliding_window": 16}
    torch.manual_seed(0)
    Gemma2ForCausalLM(
        Gemma2Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **sizes, **heads)
    ).save_pretrained(tmp_path / "gemma2")
    tokenizer.save_pretrained(tmp_path / "gemma2")
    arguments = ["model.path=gemma2", "train.iterations=2", "train.eval_every=1", "reward.control=random"]
    done = icpo("train", str(lab_config), *arguments, "--json")
    assert done.status == 0, done.err
    run = tmp_path / "runs" / done.document["run_id"]
    entries = list(Journal(run / "journal.jsonl").entries())
    evaluated = [entry.step for entry in entries if "eval/heldout/avg_at_k" in entry.metrics]
    trained = [entry.metrics for entry in entries if "loss" in entry.metrics]
    assert evaluated == [0, 1, 2] and len(trained) == 2
    assert all(each["grad_norm"] > 0 and each["logprob_gap/max"] < 0.05 for each in trained)
    assert all(0 < each["padding_share"] < 1 and each["tokens_per_second/device"] > 0 for each in trained)
    assert "mfu/update" not in trained[0]


def test_the_samplers_log_probs_can_stand_for_the_old_policys(lab_config: Path, icpo: Callable) -> None:
    settings = ["learner.old_logprobs=sampler", "learner.importance_cap=2", "train.iterations=2", "data.heldout=null"]
    done = icpo("train", str(lab_config), *settings, "--json")
    assert done.status == 0, done.err
    metrics = done.document["metrics"]
    assert 0 < metrics["log_ratio"] < 0.5 and metrics["entropy"] > 0 and metrics["kl"] > 0
    assert "logprob_gap/mean" not in metrics  # there is no second forward pass to compare with


def test_icpo_with_omega_0_is_grpo_bit_for_bit(lab_config: Path, icpo: Callable, tmp_path: Path) -> None:
    runs = []
    for name, arguments in {"icpo": ["method=icpo", "method.omega.max=0"], "grpo": ["method=grpo"]}.items():
        (tmp_path / name).mkdir()
        done = icpo("train", str(lab_config), "train.iterations=3", *arguments, "--json", cwd=tmp_path / name)
        assert done.status == 0, done.err
        run = tmp_path / name / "runs" / done.document["run_id"]
        metrics = [
            {key: entry.metrics[key] for key in ("loss", "policy_loss", "kl", "grad_norm", "accuracy", "reward/final")}
            for entry in Journal(run / "journal.jsonl").entries()
            if "loss" in entry.metrics
        ]
        runs.append((metrics, load_file(run / "checkpoints" / "last" / "model.safetensors")))
    (icpo_metrics, icpo_weights), (grpo_metrics, grpo_weights) = runs
    assert len(icpo_metrics) == 3 and any(m["grad_norm"] > 0 and m["policy_loss"] != 0 for m in icpo_metrics)
    assert icpo_metrics == grpo_metrics
    assert all(icpo_weights[name].equal(grpo_weights[name]) for name in icpo_weights)


def test_learning_from_the_passes_that_score_comes_to_what_passes_of_their_own_do(
    lab_config: Path, icpo: Callable, tmp_path: Path
) -> None:
    """With any filter, even one that keeps every group, all log-probs are computed before the first update."""
    apart = ["rollout.keep=accuracy", "rollout.least_accuracy=0", "rollout.most_accuracy=1"]
    runs = []
    for name, settings in {"at once": [], "apart": apart}.items():
        (tmp_path / name).mkdir()
        arguments = ["train.iterations=2", "data.heldout=null", "learner.micro_batch_tokens=300", *settings]
        done = icpo("train", str(lab_config), *arguments, "--json", cwd=tmp_path / name)
        assert done.status == 0, done.err
        runs.append({name: value for name, value in done.document["metrics"].items() if not name.startswith(CLOCKED)})
    at_once, apart_metrics = runs
    assert at_once["grad_norm"] > 0 and at_once.keys() == apart_metrics.keys()
    assert at_once == pytest.approx(apart_metrics, rel=1e-6)


@pytest.fixture
def start(fork_server: ForkServer, lab_config: Path, tmp_path: Path) -> Callable[..., Process]:
    """Start a run with these settings."""
    return lambda *settings: fork_server.start("icpo_cli", ["train", str(lab_config), *settings], tmp_path)


def wait_for_iteration(folder: Path, process: Process) -> Path:
    """Wait until the journal has an iteration; returns the run folder."""
    while process.poll() is None:
        for journal in folder.glob("runs/*/journal.jsonl"):
            if any(entry.step > 0 for entry in Journal(journal).entries()):
                return journal.parent
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])


def mlflow_status(run: Path, folder: Path) -> str:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").get_run(run.name).info.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_iteration_saves_and_says_how_to_resume(
    number: signal.Signals, start: Callable, tmp_path: Path
) -> None:
    process = start("train.iterations=500", "train.eval_every=500", "train.save_every=500")
    run = wait_for_iteration(tmp_path, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert f"resume with: icpo train --resume {run.name}" in err
    steps = [entry.step for entry in Journal(run / "journal.jsonl").entries()]
    assert (run / "checkpoints" / "last").resolve().name == f"iteration-{steps[-1]:05d}"
    assert mlflow_status(run, tmp_path) == "KILLED"


def test_a_second_signal_ends_it_at_once_and_closes_its_record(start: Callable, tmp_path: Path) -> None:
    sizes = ["rollout.prompts_per_iteration=900", "learner.mini_batch_prompts=900", "data.heldout=null"]
    process = start(*sizes)
    while not any("iteration 1: rollout" in log.read_text() for log in tmp_path.glob("runs/*/run.log")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    # Two different signals: two equal pending signals may be merged into one.
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT), err
    [run] = (tmp_path / "runs").iterdir()
    assert "stopped at once: the current iteration is lost" in err
    assert f"resume with: icpo train --resume {run.name}" in err
    assert mlflow_status(run, tmp_path) == "KILLED"


def test_told_to_stop_in_its_last_iteration_a_run_is_finished(start: Callable, tmp_path: Path) -> None:
    process = start("train.iterations=1")
    run = wait_for_iteration(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert mlflow_status(run, tmp_path) == "FINISHED"


def test_two_ranks_train_and_leave_one_model(lab_config: Path, tmp_path: Path, icpo: Callable) -> None:
    arguments = ["rollout.prompts_per_iteration=8", "learner.mini_batch_prompts=4", "train.iterations=2"]
    done = icpo("train", str(lab_config), *arguments, "--nproc", "2", "--json")
    assert done.status == 0, done.err
    document = done.document
    assert document["iterations"] == 2
    assert document["eval"]["heldout"]["n"] == 20
    assert sum(document["metrics"][f"verdict/{k}"] for k in ("correct", "wrong", "no_answer")) == 32
    assert (Path(document["checkpoint"]) / "model.safetensors").is_file()


def test_two_ranks_sample_as_many_rounds_as_the_one_that_lacks_most(
    lab_config: Path, tmp_path: Path, icpo: Callable
) -> None:
    sizes = [
        "rollout.prompts_per_iteration=8",
        "learner.mini_batch_prompts=4",
        "train.iterations=1",
        "data.heldout=null",
    ]
    done = icpo("train", str(lab_config), "method=dapo", "rollout.max_rounds=4", *sizes, "--nproc", "2", "--json")
    assert done.status == 0, done.err
    metrics = done.document["metrics"]
    assert metrics["groups/rounds"] > 1
    sampled = 8 * metrics["groups/rounds"]
    assert metrics["groups/untrained_share"] == (sampled - 8) / sampled


def test_a_rank_that_dies_ends_the_others(start: Callable, tmp_path: Path) -> None:
    arguments = ["rollout.prompts_per_iteration=8", "learner.mini_batch_prompts=4", "train.iterations=500"]
    process = start(*arguments, "train.eval_every=500", "train.save_every=500", "--nproc", "2")
    wait_for_iteration(tmp_path, process)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    assert len(ranks) == 2
    os.kill(int(ranks[1]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "rank" in err
    assert all(not Path(f"/proc/{rank}").exists() for rank in ranks)


def test_three_poisoned_updates_end_the_run(lab_config: Path, tmp_path: Path, fork_server: ForkServer) -> None:
    (tmp_path / "poisoned.py").write_text(POISONED)
    arguments = ["train", str(lab_config), "train.eval_every=500"]
    done = fork_server.run(str(tmp_path / "poisoned.py"), arguments, tmp_path)
    assert done.status == 1
    assert "iteration 2: the loss or gradient of 3 updates in a row was not finite" in done.err
    assert "the last good checkpoint is none" in done.err
    assert "log: " in done.err
    [journal] = tmp_path.glob("runs/*/journal.jsonl")
    [skipped] = [e.metrics["updates/skipped"] for e in Journal(journal).entries() if "updates/skipped" in e.metrics][:1]
    assert skipped == 2.0
