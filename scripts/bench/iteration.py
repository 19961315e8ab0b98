"""Time and memory of an iteration: icpo and TRL's GRPOTrainer, and the scaling of the update.

All parts run in one call, one process after another, each on the whole machine.
peer: both train the quickstart's model on 16 prompts an iteration, with responses of equal length and KL. icpo runs as
the real command; TRL trains on the prompts of icpo's first iteration in every step.
update: forward, backward and optimizer step of that work, and its MFU; the peak is a matmul of two square matrices.
growth: the same for other group sizes, response lengths and vocabularies.
ranks: one rank on one core and two ranks on two cores, on the same work.
bonus: the computation that ICPO adds to GRPO.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import AutoTokenizer

from icpo_cli.config.load import experiment_file, load_config
from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import iteration_prompts, load_prompts
from icpo_cli.models.locate import locate

HERE = Path(__file__).parent
PARTS = ("peer", "update", "growth", "ranks", "bonus")
PHASES = ("rollout", "reward", "logprobs", "update", "sync")
PROMPTS, GROUP, TOKENS = 16, 5, 40
WORK = [
    f"rollout.prompts_per_iteration={PROMPTS}",
    f"rollout.group_size={GROUP}",
    f"rollout.max_response_tokens={TOKENS}",
    f"learner.mini_batch_prompts={PROMPTS}",
    f"rollout.engine.max_num_seqs={PROMPTS * GROUP}",
    "rollout.engine.kv_cache_gib=0.18",  # enough for all responses
    "data.heldout=null",
]
ICPO_VARIANTS: dict[str, tuple[int, list[str]]] = {
    "icpo": (1, []),
    "icpo, 1,536 tokens a micro-batch": (1, ["learner.micro_batch_tokens=1536"]),
    "icpo, gradient checkpointing": (1, ["learner.gradient_checkpointing=true"]),
    f"icpo, {len(os.sched_getaffinity(0))} ranks": (len(os.sched_getaffinity(0)), []),
}
"""{name: (ranks, config arguments)}."""
TRL_VARIANTS = {"float32": "float32 weights under autocast", "bfloat16": "bfloat16 weights and optimizer state"}
"""{dtype of the model: name}. The first has icpo's precision: weights and optimizer state in float32."""
CORES = sorted(os.sched_getaffinity(0))
SMALL_VOCABULARY, LARGE_VOCABULARY = 49_152, 151_936
STATE_BYTES = 2 + 4 + 12
"""Bytes of a weight in bfloat16, its gradient in float32, and its optimizer state, three float32 values."""


@dataclass(frozen=True)
class Table:
    """The printed table of a part."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def run(command: Sequence[str], folder: Path, cores: Sequence[int] = CORES, **environment: str) -> str:
    """Run a process on some cores and return its stdout."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(len(cores)), **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} ...: exit status {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def result_of(worker: str, job: dict[str, Any], folder: Path, **environment: str) -> dict[str, Any]:
    """Run a worker script and return its RESULT line."""
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    out = run([sys.executable, str(HERE / worker), str(path)], folder, **environment)
    line = next(line for line in out.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def trained(
    command: Sequence[str], iterations: int, folder: Path, cores: Sequence[int] = CORES, **environment: str
) -> dict[str, float]:
    """Mean metrics of a run's iterations without the first, in which the engines warm up."""
    settings = [*WORK, f"train.iterations={iterations}", "train.eval_every=1000", "train.save_every=1000"]
    run([*command, *settings], folder, cores, **environment)
    [journal] = folder.glob("runs/*/journal.jsonl")
    entries = [json.loads(line)["metrics"] for line in journal.read_text().splitlines()]
    timed = [metrics for metrics in entries if "seconds/iteration" in metrics]
    warm = timed[1:]
    return {name: fmean(metrics[name] for metrics in warm) for name in warm[0] if name.startswith(("seconds/", "mem"))}


def peer(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    """icpo on one rank and on one rank per core, and TRL in several settings."""
    found: dict[str, Any] = {}
    for name, (count, settings) in ICPO_VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = icpo_side(arguments, count, settings, Path(folder))
    for dtype in arguments.trl_dtypes:
        for per_pass in arguments.trl_rows:
            found[f"TRL, {TRL_VARIANTS[dtype]}, {per_pass} responses a forward"] = peer_side(arguments, per_pass, dtype)
    compared = [found[name] for name in list(ICPO_VARIANTS)[:2]]
    rows = []
    for name, side in found.items():
        if side is None:
            rows.append((name, *[""] * len(PHASES), "out of memory", "", "", ""))
            continue
        phases = own_cells(side) if "seconds/update" in side else [""] * len(PHASES)
        ratios = [
            f"{side['seconds'] / own['seconds']:.2f}, {side['peak_gib'] / own['peak_gib']:.2f}" for own in compared
        ]
        rows.append((name, *phases, f"{side['seconds']:.1f}", f"{side['peak_gib']:.1f}", *ratios))
    title = f"An iteration of {PROMPTS} prompts x {GROUP} responses of {TOKENS} tokens, KL on"
    headers = ("", *PHASES, "seconds", "peak GiB", *(f"ratio to {name}: s, GiB" for name in list(ICPO_VARIANTS)[:2]))
    return Table(title, headers, tuple(rows), f"means of {arguments.iterations - 1} iterations after the first"), found


def icpo_side(
    arguments: argparse.Namespace, count: int, settings: Sequence[str], folder: Path, cores: Sequence[int] = CORES
) -> dict[str, float]:
    """The real command on `count` ranks, every response of maximum length; memory is the sum over ranks."""
    launcher = (
        [sys.executable] if count == 1 else [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}"]
    )
    command = [*launcher, str(HERE / "iteration_icpo.py"), "train", str(experiment_file("quickstart.yaml")), *settings]
    threads = {"OMP_NUM_THREADS": str(len(cores) // count)}
    metrics = trained(command, arguments.iterations, folder, cores, **threads)
    return metrics | {"seconds": metrics["seconds/iteration"], "peak_gib": count * metrics["memory/peak_host_gib"]}


def own_cells(metrics: dict[str, float]) -> list[str]:
    return [f"{metrics[f'seconds/{phase}']:.2f}" for phase in PHASES]


def peer_side(arguments: argparse.Namespace, rows: int, dtype: str) -> dict[str, Any] | None:
    """TRL with `rows` responses a forward pass; None if it was killed for lack of memory."""
    config = load_config([str(experiment_file("quickstart.yaml")), *WORK])
    model = locate(config.model)
    prompts = iteration_prompts(training_prompts(config, model), config.seed, 1, PROMPTS)
    job = {
        "model": str(model),
        "prompt_tokens": [list(prompt.tokens) for prompt in prompts],
        "golds": [prompt.gold.answer for prompt in prompts],
        "prompts": PROMPTS,
        "group_size": GROUP,
        "tokens": TOKENS,
        "kl_coef": config.learner.kl_coef,
        "learning_rate": config.learner.learning_rate,
        "iterations": arguments.iterations,
        "rows": rows,
        "dtype": dtype,
        "threads": len(CORES),
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = result_of("iteration_trl.py", {**job, "folder": folder}, Path(folder), PYTHONPATH=arguments.trl)
            return found | {"seconds": fmean(found["seconds"][1:])}
        except RuntimeError as error:
            if "exit status -9" in str(error):
                return None
            raise


def training_prompts(config: Config, model: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return load_prompts(config, tokenizer, lambda golds: [None for _ in golds]).train


def update_of(model: Path, **changes: Any) -> dict[str, Any]:
    """Forward, backward and step on synthetic groups, by default of the quickstart's sizes; no reference model."""
    job = {
        "model": str(model),
        "prompts": PROMPTS,
        "group_size": GROUP,
        "prompt_tokens": 185,
        "shared_prefix": 150,
        "response_tokens": TOKENS,
        "repeats": 4,
        "settings": {"learner.kl_coef": 0},
    } | changes
    with tempfile.TemporaryDirectory() as folder:
        return result_of("iteration_update.py", job, Path(folder))


def seconds_of(result: dict[str, Any]) -> float:
    """Mean seconds of all repetitions but the first."""
    return fmean(result["seconds"][1:])


def mfu(result: dict[str, Any]) -> float:
    """Model FLOPs utilization. The backward has twice the forward's FLOPs; recomputation is not counted."""
    return 3 * result["forward_flops"] / seconds_of(result) / result["peak_flops"]


def update(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    found = update_of(locate(load_config([]).model))
    cells = (
        f"{seconds_of(found):.2f}",
        f"{3 * found['forward_flops'] / 1e12:.2f}",
        f"{found['peak_flops'] / 1e9:.0f}",
        f"{100 * mfu(found):.0f} %",
        f"{found['peak_gib']:.1f}",
    )
    headers = ("seconds", "matmul TFLOP", "peak, GFLOP/s", "MFU", "peak GiB")
    title = "Forward, backward and optimizer step of the policy, bfloat16, each token counted once"
    return Table(title, headers, (cells,)), found


def growth(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    model = locate(load_config([]).model)
    found: dict[str, Any] = {}
    for group_size in (2, 5, 8, 16):
        found[f"G {group_size}"] = update_of(model, group_size=group_size, repeats=2)
    for tokens in (32, 128, 512, 1024):
        found[f"{tokens} tokens a response"] = update_of(model, prompts=2, response_tokens=tokens, repeats=2)
    with tempfile.TemporaryDirectory() as folder:
        for size in (SMALL_VOCABULARY, LARGE_VOCABULARY):
            other = random_model(model, size, Path(folder) / str(size))
            found[f"vocabulary {size:,}"] = update_of(other, repeats=2)
    rows = [
        (
            name,
            f"{seconds_of(result):.2f}",
            f"{result['peak_gib']:.2f}",
            f"{result['peak_gib'] - result['embedding'] * STATE_BYTES / 2**30:.2f}",
            f"{100 * mfu(result):.0f} %",
        )
        for name, result in found.items()
    ]
    headers = ("", "seconds", "peak GiB", "without the embedding's state", "MFU")
    return Table("Scaling of the update", headers, tuple(rows)), found


def random_model(model: Path, vocabulary: int, folder: Path) -> Path:
    """The model's architecture with random weights and another vocabulary size."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model)
    config.vocab_size = vocabulary
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((model / name).read_bytes())
    return folder


def ranks(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    command = [sys.executable, "-m", "icpo_cli", "train", str(experiment_file("quickstart.yaml"))]
    exactly = f"{TOKENS} tokens a response"
    found: dict[str, list[dict[str, float]]] = {exactly: [], "natural lengths": []}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            found[exactly].append(icpo_side(arguments, count, [], Path(folder), CORES[:count]))
        with tempfile.TemporaryDirectory() as folder:
            # `--nproc` divides the cores among the ranks.
            parts = command if count == 1 else [*command, "--nproc", str(count)]
            found["natural lengths"].append(trained(parts, arguments.iterations, Path(folder), CORES[:count]))
    rows = []
    for name, both in found.items():
        for count, each in enumerate(both, start=1):
            ratio = both[0]["seconds/iteration"] / each["seconds/iteration"]
            label = f"{count} rank{'s' if count > 1 else ''}, {name}"
            rows.append((label, *own_cells(each), f"{each['seconds/iteration']:.1f}", f"{ratio:.2f}"))
    title = "One rank on one core, two ranks on two cores"
    return Table(title, ("", *PHASES, "seconds", "speedup"), tuple(rows)), found


def bonus(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    import torch

    from icpo_cli.objective.methods import derive
    from icpo_cli.objective.preference import preference_score

    torch.set_num_threads(len(CORES))
    config = load_config(["method=icpo"])
    confidence = -torch.rand(768, 5, dtype=torch.float64)
    reward = torch.randint(0, 2, (768, 5)).double()

    def milliseconds(method: str) -> float:
        settings = load_config([f"method={method}"]).method
        return 1000 * fastest(lambda: derive(confidence, reward, 1.0, settings))

    found = {
        "preference_score_ms": 1000 * fastest(lambda: preference_score(confidence, config.method.delta)),
        "icpo_ms": milliseconds("icpo"),
        "grpo_ms": milliseconds("grpo"),
    }
    rows = tuple((name.removesuffix("_ms").replace("_", " "), f"{value:.3f}") for name, value in found.items())
    return Table("From confidences and rewards to advantages, 768 x 5", ("", "ms"), rows), found


def fastest(work: Any) -> float:
    """Seconds of the fastest of fifty calls."""
    times = []
    for _ in range(50):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--iterations", type=int, default=4, help="the first is not counted")
    parser.add_argument("--trl-rows", type=lambda text: [int(part) for part in text.split(",")], default=[10, 20, 40])
    parser.add_argument("--trl-dtypes", nargs="+", choices=TRL_VARIANTS, default=list(TRL_VARIANTS))
    parser.add_argument("--trl", type=os.path.abspath, required=True, help="folder in which TRL is installed")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parts = {"peer": peer, "update": update, "growth": growth, "ranks": ranks, "bonus": bonus}
    document = {}
    for name in arguments.only:
        table, document[name] = parts[name](arguments)
        if not arguments.json:
            print_table(table)
    if arguments.json:
        print(json.dumps(document, indent=2))


def print_table(table: Table) -> None:
    """Print the table as Markdown."""
    print(f"\n{table.title}\n")
    for cells in (table.headers, ["---"] * len(table.headers), *table.rows):
        print(f"| {' | '.join(cells)} |")
    if table.note:
        print(f"\n{table.note}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
